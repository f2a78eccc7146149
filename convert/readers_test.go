package convert_test

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/physmem"
	"windmp/physmem/open"
)

// readersEnv names programs, separated as in PATH, that read a dump with a
// library that is not ours. Each is called with the dump's path and prints a
// line "digest HEX": FNV-1a, 64 bits, over each page in the order of addresses,
// first the physical address as 8 little-endian bytes, then the page.
const readersEnv = "WINDMP_READERS"

// digest is that of the pages of a dump as windmp reads them back; that they are
// the right ones the other tests say.
func digest(t *testing.T, dmp string) string {
	t.Helper()
	im, err := open.File(t.Context(), dmp, open.Options{})
	require.NoError(t, err)
	defer im.Close()
	h := fnv.New64a()
	page := make([]byte, physmem.PageSize)
	for _, r := range im.Ranges() {
		for pa := r.Start; pa < r.End(); pa += physmem.PageSize {
			_, err := im.ReadAt(page, int64(pa))
			require.NoError(t, err)
			var at [8]byte
			binary.LittleEndian.PutUint64(at[:], pa)
			_, _ = h.Write(at[:])
			_, _ = h.Write(page)
		}
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// TestOtherReaders: programs that we did not write find the same pages in every
// type of dump.
func TestOtherReaders(t *testing.T) {
	t.Parallel()
	readers := filepath.SplitList(os.Getenv(readersEnv))
	if len(readers) == 0 {
		t.Logf("NOT RUN with other readers: %s names none", readersEnv)
	}
	_, ferr := exec.LookPath("file")
	if ferr != nil {
		t.Log("NOT RUN with file(1): it is not installed")
	}
	for _, kind := range []plan.OutputType{plan.OutputFull, plan.OutputBitmap, plan.OutputKernel} {
		b, r := convertSample(t, "guest-bsod.vmcore", convert.Options{Plan: plan.Options{Type: kind}})
		dmp := writeFile(t, b)
		for _, reader := range readers {
			want := digest(t, dmp)
			out, err := exec.Command(reader, dmp).CombinedOutput()
			require.NoError(t, err, "%s: %s", reader, out)
			assert.Contains(t, strings.Split(string(out), "\n"), "digest "+want, "%s of a %s dump", reader, kind)
		}
		if ferr == nil {
			out, err := exec.Command("file", "-b", dmp).Output()
			require.NoError(t, err)
			assert.Contains(t, string(out), "MS Windows 64bit crash dump")
			assert.Contains(t, string(out), fmt.Sprintf("%d pages", fullPages(r)))
		}
	}
}

// fullPages is the count that file(1) reads: NumberOfPages of the run table,
// which lists all of the guest's memory in every type of dump.
func fullPages(r *report.Report) uint64 { return r.Output.Pages + r.Output.LeftOut }
