package lime_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// put appends a range's header, and memory that tells its place.
func put(b []byte, start, size uint64) []byte {
	le := binary.LittleEndian
	b = append(b, "EMiL\x01\x00\x00\x00"...)
	b = le.AppendUint64(b, start)
	b = le.AppendUint64(b, start+size-1)
	return append(append(b, make([]byte, 8)...), fixture.Pattern(start, size)...)
}

// image is one of a machine with a hole, whose first range ends in a page, as that below
// the extended BIOS data area does.
func image() []byte {
	return put(put(put(nil, 0x1000, 0x9ec00), 0x100000, 0x40000), 1<<32, 0x2000)
}

// ranges are those of image.
func ranges() []physmem.Range {
	return []physmem.Range{{Start: 0x1000, Size: 0x9ec00}, {Start: 0x100000, Size: 0x40000}, {Start: 1 << 32, Size: 0x2000}}
}

func TestImage(t *testing.T) {
	t.Parallel()
	for name, file := range map[string][]byte{
		"whole":       image(),
		"on a volume": append(image(), make([]byte, 0x10000)...),
	} {
		m, err := physmemtest.Open(file)
		require.NoError(t, err, name)
		assert.Equal(t, physmem.FormatLiME, m.Format())
		assert.Equal(t, "LiME memory image, 3 ranges", m.Describe())
		assert.Empty(t, fixture.Untried(t, m))
		assert.Empty(t, m.CPUs())
		require.NoError(t, physmemtest.Test(m, ranges(), fixture.PatternAt))
		fixture.CheckImage(t, m, file)
	}
}

// TestDamaged: what can't be used costs what lies behind it.
func TestDamaged(t *testing.T) {
	t.Parallel()
	file := image()
	for name, tt := range map[string]struct {
		file []byte
		kind physmem.OddityKind
		want []physmem.Range
	}{
		"cut in a range":     {file[:len(file)-0x1800], physmem.OddityTruncated, []physmem.Range{ranges()[0], ranges()[1], {Start: 1 << 32, Size: 0x800}}},
		"cut in a header":    {file[:0x9ec00+32+7], physmem.OddityTruncated, ranges()[:1]},
		"another signature":  {append(image()[:0x9ec00+32], make([]byte, 40)[:39]...), 0, ranges()[:1]},
		"not a header":       {append(image()[:0x9ec00+32], bytes.Repeat([]byte{7}, 40)...), physmem.OddityBadSegment, ranges()[:1]},
		"ends before it is":  {append(image()[:0x9ec00+32], put(nil, 0x200000, 0)...), physmem.OddityBadSegment, ranges()[:1]},
		"above all memory":   {append(image()[:0x9ec00+32], put(nil, 1<<52-0x1000, 0x2000)...), physmem.OddityBadSegment, ranges()[:1]},
		"twice the same":     {put(image(), 0x100000, 0x1000), physmem.OddityConflict, ranges()},
		"claims more memory": {append(put(nil, 0x1000, 0x1000), "EMiL\x01\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\x0f\x00________"...), physmem.OddityTruncated, []physmem.Range{{Start: 0x1000, Size: 0x1000}}},
	} {
		m, err := physmemtest.Open(tt.file)
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, m.Ranges(), name)
		if tt.kind == 0 {
			assert.Empty(t, fixture.Untried(t, m), name)
			continue
		}
		odd := fixture.Untried(t, m)
		require.Len(t, odd, 1, name)
		assert.Equal(t, tt.kind, odd[0].Kind, name)
	}
}

// TestRefused: other versions are named, and an image without memory is none.
func TestRefused(t *testing.T) {
	t.Parallel()
	other := image()
	other[4] = 2
	_, err := physmemtest.Open(other)
	require.ErrorContains(t, err, "a LiME memory image of version 2; version 1 is read")
	_, err = physmemtest.Open(image()[:32])
	var bad *physmem.FormatError
	require.ErrorAs(t, err, &bad)
	require.NotNil(t, bad.Cut)
	// AVML's compressed form begins otherwise, and is named.
	_, err = physmemtest.Open(append([]byte("AVML\x02\x00\x00\x00"), make([]byte, 0x100)...))
	require.ErrorContains(t, err, "AVML memory dump")
}

// FuzzLiME opens damaged images.
func FuzzLiME(f *testing.F) {
	file := image()
	f.Add([]byte{}, uint32(0))
	f.Add([]byte{0, 0, 0x17, 9, 9, 0xec, 0x24, 1}, uint32(0x1234))
	f.Add([]byte{0, 0, 0x10, 0xff, 0, 0, 0x16, 0x0f}, uint32(1))
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32) {
		bad := fixture.Patch(file[:len(file)-int(cut%uint32(len(file)))], patches)
		m, err := physmemtest.Open(bad)
		if err != nil {
			require.Nil(t, m)
			return
		}
		fixture.CheckReads(t, m)
		fixture.CheckImage(t, m, bad)
	})
}
