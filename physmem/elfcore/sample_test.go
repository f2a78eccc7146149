package physmem_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

// sample returns a dump of testdata, which real QEMU has written.
func sample(tb testing.TB, name string) []byte {
	tb.Helper()
	file, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if errors.Is(err, fs.ErrNotExist) {
		tb.Skip("no such sample")
	}
	require.NoError(tb, err)
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(file))
		require.NoError(tb, err)
		file, err = io.ReadAll(z)
		require.NoError(tb, err)
	}
	return file
}

// headerRuns returns the run table of the Windows header in the guest note: a
// count at 0x88, from 0x98 on pairs of first page and number of pages; in that of
// a 32-bit guest at 0x64 and from 0x6c on, in half the width.
func headerRuns(tb testing.TB, m *physmem.Image) []physmem.Range {
	tb.Helper()
	require.NotNil(tb, m.GuestNote())
	desc := m.GuestNote().Desc
	count, first, half := 0x88, 0x98, 8
	word := binary.LittleEndian.Uint64
	if string(desc[:8]) == "PAGEDUMP" {
		count, first, half = 0x64, 0x6c, 4
		word = func(b []byte) uint64 { return uint64(binary.LittleEndian.Uint32(b)) }
	} else {
		require.Equal(tb, "PAGEDU64", string(desc[:8]))
	}
	var out []physmem.Range
	for i := range int(binary.LittleEndian.Uint32(desc[count:])) {
		run := desc[first+2*half*i:]
		out = append(out, physmem.Range{Start: word(run) * physmem.PageSize, Size: word(run[half:]) * physmem.PageSize})
	}
	return out
}

func TestSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/*.vmcore*")
	require.NoError(t, err)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			m, err := openBytes(sample(t, filepath.Base(path)))
			require.NoError(t, err)
			assert.Empty(t, m.Oddities())
			assert.NotEmpty(t, m.CPUs())
			for i, c := range m.CPUs() {
				assert.Equal(t, uint32(i), c.ID)
				assert.True(t, c.HasSystem)
				assert.True(t, c.HasKernelGSBase)
				assert.NotZero(t, c.CR3)
			}
			ram := headerRuns(t, m)
			m.Recover(ram)
			if !strings.Contains(path, "-cut") { // that one lacks memory
				assert.Empty(t, missing(m, ram))
			}
			require.NoError(t, physmemtest.Test(m, m.Ranges(), nil))
		})
	}
}

// TestSampleRecovered compares a dump with paging on, recovered, with one of
// the same stopped guest with paging off.
func TestSampleRecovered(t *testing.T) {
	t.Parallel()
	for paged, plain := range map[string]string{
		"live-2cpu-paging.vmcore.gz":        "live-2cpu.vmcore.gz",
		"shadow-user-2cpu-paging.vmcore.gz": "shadow-user-2cpu.vmcore.gz",
	} {
		t.Run(paged, func(t *testing.T) {
			t.Parallel()
			m, err := openBytes(sample(t, paged))
			require.NoError(t, err)
			truth, err := openBytes(sample(t, plain))
			require.NoError(t, err)
			assert.Contains(t, m.Describe(), "(paging on)")
			assert.NotContains(t, truth.Describe(), "(paging on)")
			ram := headerRuns(t, m)
			require.NotEmpty(t, m.Recover(ram))
			for _, x := range ram {
				got, want := make([]byte, x.Size), make([]byte, x.Size)
				_, err := m.ReadAt(got, int64(x.Start))
				require.NoError(t, err)
				_, err = truth.ReadAt(want, int64(x.Start))
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got), "%v", x)
			}
			assert.Equal(t, truth.CPUs()[0].CR3, m.CPUs()[0].CR3)
		})
	}
}
