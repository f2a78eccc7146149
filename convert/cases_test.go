package convert_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"windmp/internal/atomicfile"
)

// casesVariable names the folder of inputs from the field, packed with zstd, of which
// the right outcome is known. They are not in the repository.
const casesVariable = "WINDMP_CASES"

// caseFile unpacks one of the cases, such as N01.elf, into a file that lives as long
// as the test. Without the folder the test says that it did not run.
func caseFile(t *testing.T, name string) string {
	t.Helper()
	folder := os.Getenv(casesVariable)
	if folder == "" {
		t.Skipf("DID NOT RUN: %s names no folder with the cases from the field", casesVariable)
	}
	packed, err := os.Open(filepath.Join(folder, name+".zst"))
	require.NoError(t, err)
	defer packed.Close()
	r, err := zstd.NewReader(packed)
	require.NoError(t, err)
	defer r.Close()
	path := filepath.Join(t.TempDir(), name)
	out, err := os.Create(path)
	require.NoError(t, err)
	n, err := r.WriteTo(io.NewOffsetWriter(atomicfile.NewHoleWriter(out, atomicfile.MaxGrain), 0))
	require.NoError(t, err)
	require.NoError(t, out.Truncate(n)) // some cases are gigabytes of zeros
	require.NoError(t, out.Close())
	return path
}
