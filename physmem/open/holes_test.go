package physmem_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/winhdr"
)

// holey is a file with holes: its pages that are zeros.
type holey struct{ *bytes.Reader }

func (h holey) NextData(off int64) int64 {
	var page [physmem.PageSize]byte
	for off < h.Size() {
		at := off &^ (physmem.PageSize - 1)
		n, _ := h.ReadAt(page[:], at)
		if bytes.Count(page[:n], []byte{0}) != n {
			return off
		}
		off = at + physmem.PageSize
	}
	return h.Size()
}

// openHoley opens a file whose zeros are holes.
func openHoley(tb testing.TB, file []byte) *physmem.Image {
	tb.Helper()
	m, err := physmem.New(holey{bytes.NewReader(file)}, int64(len(file)))
	require.NoError(tb, err)
	return m
}

// checkNextData: what NextData passes over is there and is zeros.
func checkNextData(t *testing.T, m *physmem.Image, end uint64) (skipped uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		pa := rng.Uint64N(end)
		next := m.NextData(pa)
		require.GreaterOrEqual(t, next, pa)
		b := make([]byte, next-pa)
		_, err := m.ReadAt(b, int64(pa))
		require.NoError(t, err, "[%#x, %#x)", pa, next)
		require.Equal(t, len(b), bytes.Count(b, []byte{0}), "[%#x, %#x)", pa, next)
		skipped += next - pa
	}
	return skipped
}

func TestNextDataELF(t *testing.T) {
	t.Parallel()
	b := &builder{notes: cpuNotes(1), memory: pattern(0, 0x40000)}
	clear(b.memory[0x9000:0x17000])
	clear(b.memory[0x1e000:0x40000])
	for _, at := range []uint64{0, 0x10000, 0x20000} { // gaps in the guest, none in the file
		b.loads = append(b.loads, load{paddr: 2 * at, filesz: 0x10000, memsz: 0x10000, off: at})
	}
	m := openHoley(t, b.build())
	assert.Equal(t, uint64(0x123), m.NextData(0x123), "data")
	assert.Equal(t, uint64(0x10000), m.NextData(0xe123), "no further than the extent")
	assert.Equal(t, uint64(0x50000), m.NextData(0x41000))
	assert.Equal(t, uint64(0x18123), m.NextData(0x18123), "no memory")
	assert.Positive(t, checkNextData(t, m, 0x60000))
	whole, err := openBytes(b.build())
	require.NoError(t, err)
	assert.Equal(t, uint64(0xe000), whole.NextData(0xe000), "a file that does not know its holes")
}

func TestNextDataBitmap(t *testing.T) {
	t.Parallel()
	d := &dmp{typ: winhdr.DumpTypeBitmapFull, runs: []run{{1, 4}, {8, 1}, {0x20, 0x20}}}
	file := d.build()
	clear(file[len(file)-0x23*physmem.PageSize : len(file)-0x10*physmem.PageSize])
	m := openHoley(t, file)
	assert.Equal(t, uint64(0x2000), m.NextData(0x2000))
	assert.Equal(t, uint64(0x5000), m.NextData(0x3010), "no further than the run")
	assert.Equal(t, uint64(0x9000), m.NextData(0x8000))
	assert.Equal(t, uint64(0x30000), m.NextData(0x20fff))
	assert.Equal(t, uint64(0x6000), m.NextData(0x6000), "no memory")
	assert.Positive(t, checkNextData(t, m, 0x50000))
}

func TestNextDataKdump(t *testing.T) {
	t.Parallel()
	k := kdump{version: 6, runs: []run{{0, 10}, {14, 1000}}}
	m := k.open(t)
	assert.Equal(t, uint64(0x3fff), m.NextData(0x3fff))
	assert.Equal(t, uint64(0x5000), m.NextData(0x4fff))
	assert.Equal(t, uint64(0xa000), m.NextData(0x9000), "no further than the run")
	assert.Equal(t, uint64(0xb000), m.NextData(0xb000), "no memory")
	assert.Positive(t, checkNextData(t, m, 1020*physmem.PageSize))
	own := kdump{version: 6, runs: k.runs, noZero: true}
	assert.Equal(t, uint64(0x4000), own.open(t).NextData(0x4000), "no page of zeros that others share")
}

// TestNextDataFile asks the system about a real file.
func TestNextDataFile(t *testing.T) {
	t.Parallel()
	const size, data = 64 << 20, 40 << 20
	path := filepath.Join(t.TempDir(), "memory.raw")
	f, err := os.Create(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	require.NoError(t, f.Truncate(size))
	if physmem.FindData(f).NextData(0) == 0 {
		t.Skip("NOT TESTED: this file system does not tell where its holes are")
	}
	_, err = f.WriteAt([]byte("data"), data)
	require.NoError(t, err)
	m, err := physmem.OpenWith(path, physmem.Options{Format: physmem.FormatRaw})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Close() })
	next := m.NextData(0x1000)
	assert.LessOrEqual(t, next, uint64(data))
	assert.Greater(t, next, uint64(data-(2<<20)), "file systems have larger blocks than others")
	assert.Equal(t, uint64(data), m.NextData(data))
	assert.Equal(t, uint64(size), m.NextData(data+(8<<20)))
	require.NoError(t, os.Truncate(path, size/2))
	assert.Equal(t, uint64(size/2), m.NextData(1<<20), "of what was cut off, nothing is said")
	assert.Equal(t, uint64(size/2+1), m.NextData(size/2+1))
}
