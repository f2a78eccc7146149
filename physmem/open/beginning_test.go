package open_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
)

// TestBeginning: what is certainly not read is refused by its beginning, with the error
// of the whole file; what needs a look farther in is not.
func TestBeginning(t *testing.T) {
	t.Parallel()
	long := func(start string) []byte {
		return append([]byte(start), make([]byte, open.BeginningSize)...)[:open.BeginningSize]
	}
	for name, b := range map[string][]byte{
		"an ELF core":     guestsim.New(guestsim.Options{}).ELF()[:open.BeginningSize],
		"a stream":        long("QEVM\x00\x00\x00\x03"),
		"a broken ELF":    long("\x7fELF\x02\x01\x01"),
		"a short stream":  []byte("QEVM\x00\x00\x00\x03"),
		"qcow2, maybe":    long("QFI\xfb\x00\x00\x00\x03" + string(make([]byte, 12)) + "\x00\x00\x00\x10" + string(make([]byte, 32)) + "\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00"),
		"Hyper-V's state": long("\x14\x20\x28\x01"),
	} {
		require.NotErrorIs(t, open.Beginning(t.Context(), b, nil, open.Options{}), physmem.ErrUnknownFormat, name)
	}
	for _, b := range [][]byte{nil, []byte("words"), make([]byte, open.BeginningSize), long("MDMP"), long("vhdxfile"), long("QFI\xfb\x00\x00\x00\x03")} {
		err := open.Beginning(t.Context(), b, nil, open.Options{})
		require.Error(t, err)
		_, whole := open.Source(t.Context(), physmem.NewSource("", bytes.NewReader(b), int64(len(b))), open.Options{})
		require.EqualError(t, err, whole.Error())
		require.NoError(t, open.Beginning(t.Context(), b, nil, open.Options{Format: physmem.FormatRaw}))
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, open.Beginning(over, nil, nil, open.Options{}), context.Canceled)
}

// TestBeginningOfSamples: no file that is opened is refused by its beginning.
func TestBeginningOfSamples(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"WINDMP_SAMPLES", "WINDMP_CASES"} {
		dir := os.Getenv(variable)
		if dir == "" {
			t.Logf("DID NOT RUN on files of others: %s is not set", variable)
			continue
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		for _, path := range files {
			m, err := open.File(t.Context(), path, open.Options{})
			if err != nil {
				continue
			}
			b := make([]byte, min(m.FileSize(), open.BeginningSize))
			f, err := os.Open(path)
			require.NoError(t, err)
			_, err = f.ReadAt(b, 0)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			require.NoError(t, m.Close())
			assert.NoError(t, open.Beginning(t.Context(), b, nil, open.Options{}), path)
		}
	}
}
