package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// named is a path of this repository between backquotes: it begins with a folder
// that is there, and may have a star.
var named = regexp.MustCompile("`((?:cmd|convert|docs|examples|internal|kdbg|physmem|scripts|tools|vtop|winhdr)/[A-Za-z0-9_./*-]*)`")

// What CONTRIBUTING and the design name is there.
func TestDocsNameWhatIsThere(t *testing.T) {
	for _, doc := range []string{"CONTRIBUTING.md", "docs/design.md"} {
		text, err := os.ReadFile(filepath.Join(root, doc))
		require.NoError(t, err)
		found := named.FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, found, doc)
		for _, m := range found {
			name, _ := strings.CutSuffix(m[1], "/...")
			list, err := filepath.Glob(filepath.Join(root, name))
			require.NoError(t, err, name)
			assert.NotEmpty(t, list, "%s: %s is not there", doc, name)
		}
	}
}
