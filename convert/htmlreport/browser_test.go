package htmlreport_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/convert/htmlreport"
	"windmp/convert/plan"
	"windmp/internal/browsertest"
)

// Pages in real browsers: they load nothing and say nothing, the filter works, axe finds
// nothing, a narrow screen has room, and hostile text is text. With WINDMP_SCREENSHOTS
// pictures are left in that folder.
func TestInBrowsers(t *testing.T) {
	folder := t.TempDir()
	for name, p := range map[string]*htmlreport.Page{
		"several": checked(t, "live-2cpu-cut.vmcore.gz", "la57-1cpu.win-dmp.gz", "README.md"),
		"kernel":  withModules(t, 30, converted(t, "live-2cpu.vmcore.gz", plan.Options{Type: plan.OutputKernel})),
		"hostile": filled(hostile),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".html"), []byte(page(t, p)), 0o600))
	}
	for _, browser := range browsertest.Browsers() {
		t.Run(browser, func(t *testing.T) {
			t.Parallel()
			browsertest.Start(t, filepath.Join("..", ".."), browser).Run(t, "report.mjs", folder)
		})
	}
}
