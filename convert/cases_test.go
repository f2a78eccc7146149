package convert_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
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
	sparse := &holes{f: out}
	_, err = r.WriteTo(sparse)
	require.NoError(t, err)
	require.NoError(t, out.Truncate(sparse.at))
	require.NoError(t, out.Close())
	return path
}

// holes is a writer that leaves out what is zero: some cases are gigabytes of it.
type holes struct {
	f  *os.File
	at int64 // where the next byte belongs
}

func (h *holes) Write(p []byte) (int, error) {
	const grain = 64 << 10
	for done := 0; done < len(p); {
		piece := p[done:min(done+grain, len(p))]
		if !allZero(piece) {
			if _, err := h.f.WriteAt(piece, h.at); err != nil {
				return done, err
			}
		}
		done += len(piece)
		h.at += int64(len(piece))
	}
	return len(p), nil
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
