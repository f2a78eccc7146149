package vtop

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// model32 is model for the 32-bit modes, as SDM vol. 3, 4.3 and 4.4 have them.
func model32(mem io.ReaderAt, dtb uint64, pae bool, va VA) outcome {
	if va>>32 != 0 {
		return outcome{kind: NonCanonical}
	}
	v := uint64(va)
	if !pae {
		return modelLegacy(mem, dtb, v)
	}
	e, ok := modelEntry(mem, field(dtb, 5, 31)*32+field(v, 30, 31)*8, 8)
	switch {
	case !ok:
		return outcome{kind: TableUnreadable, level: 3}
	case field(e, 0, 0) == 0:
		return modelInvalid(e, 3, 0)
	case field(e, 1, 2) != 0, field(e, 6, 8) != 0, field(e, 52, 63) != 0:
		return outcome{kind: Malformed, level: 3}
	}
	e, ok = modelEntry(mem, field(e, 12, 51)*0x1000+field(v, 21, 29)*8, 8)
	switch {
	case !ok:
		return outcome{kind: TableUnreadable, level: 2}
	case field(e, 0, 0) == 0:
		return modelInvalid(e, 2, 0)
	case field(e, 52, 62) != 0, field(e, 7, 7) == 1 && field(e, 13, 20) != 0:
		return outcome{kind: Malformed, level: 2}
	case field(e, 7, 7) == 1:
		return outcome{level: 2, size: 0x200000, pa: field(e, 21, 51)*0x200000 + field(v, 0, 20)}
	}
	e, ok = modelEntry(mem, field(e, 12, 51)*0x1000+field(v, 12, 20)*8, 8)
	switch {
	case !ok:
		return outcome{kind: TableUnreadable, level: 1}
	case field(e, 0, 0) == 0:
		return modelInvalid(e, 1, field(v, 0, 11))
	case field(e, 52, 62) != 0:
		return outcome{kind: Malformed, level: 1}
	}
	return outcome{level: 1, size: 0x1000, pa: field(e, 12, 51)*0x1000 + field(v, 0, 11)}
}

func modelLegacy(mem io.ReaderAt, dtb, v uint64) outcome {
	e, ok := modelEntry(mem, field(dtb, 12, 31)*0x1000+field(v, 22, 31)*4, 4)
	switch {
	case !ok:
		return outcome{kind: TableUnreadable, level: 2}
	case field(e, 0, 0) == 0:
		return modelInvalidLegacy(e, 2, 0)
	case field(e, 7, 7) == 1 && field(e, 21, 21) == 1:
		return outcome{kind: Malformed, level: 2}
	case field(e, 7, 7) == 1:
		pa := field(e, 13, 20)*0x1_0000_0000 + field(e, 22, 31)*0x400000 + field(v, 0, 21)
		return outcome{level: 2, size: 0x400000, pa: pa}
	}
	e, ok = modelEntry(mem, field(e, 12, 31)*0x1000+field(v, 12, 21)*4, 4)
	switch {
	case !ok:
		return outcome{kind: TableUnreadable, level: 1}
	case field(e, 0, 0) == 0:
		return modelInvalidLegacy(e, 1, field(v, 0, 11))
	}
	return outcome{level: 1, size: 0x1000, pa: field(e, 12, 31)*0x1000 + field(v, 0, 11)}
}

// modelInvalidLegacy: the forms are those of 64-bit entries, but for the place in a
// paging file.
func modelInvalidLegacy(e uint64, level int, rest uint64) outcome {
	if field(e, 10, 11) == 0 && field(e, 12, 31) != 0 {
		return outcome{kind: Pagefile, level: level}
	}
	return modelInvalid(e, level, rest)
}

func modelEntry(mem io.ReaderAt, pa uint64, size int) (e uint64, ok bool) {
	var raw [8]byte
	if n, _ := mem.ReadAt(raw[:size], int64(pa)); n != size {
		return 0, false
	}
	for i, b := range raw {
		e += uint64(b) * pow2(8*i).Uint64()
	}
	return e, true
}

func requireModel32(t *testing.T, s *Space, va VA) outcome {
	t.Helper()
	want := model32(s.Mem, uint64(s.DTB), s.Mode == PAE, va)
	requireOutcome(t, s, va, want)
	return want
}

func mode32(pae bool) *Mode {
	if pae {
		return PAE
	}
	return X86
}

func TestAgainstModel32(t *testing.T) {
	t.Parallel()
	for _, pae := range []bool{false, true} {
		r := rand.New(rand.NewPCG(7, 32))
		seen := map[FaultKind]int{}
		large := 0
		rounds := modelRounds()
		for range rounds {
			g := newGuest(X64)
			for page := range PA(12) {
				for i := range PA(512) {
					g.setEntry(page<<12+8*i, randomEntry32(r, pae))
				}
			}
			g.bad[7<<12] = errors.New("disk")
			s := NewSpace(g, r.Uint64()&0x1ffff, mode32(pae))
			for i := range PA(4) {
				if pae && r.IntN(4) != 0 { // the entries at CR3 have few bits
					g.setEntry(s.DTB+8*i, uint64(r.IntN(13))<<12|r.Uint64()&0xe38|1)
				}
			}
			for range 400 {
				va := VA(r.Uint32())
				if r.IntN(16) == 0 {
					va |= VA(r.Uint64())
				}
				want := requireModel32(t, s, va)
				seen[want.kind]++
				if want.size > 0x1000 {
					large++
				}
			}
		}
		for kind := NonCanonical; kind <= TableUnreadable; kind++ {
			if kind != Malformed || pae {
				require.Greater(t, seen[kind], rounds/2, "%v, pae %v", kind, pae)
			}
		}
		require.Greater(t, seen[0], 5*rounds, "translated")
		require.Greater(t, large, 5*rounds/2, "large pages")
	}
}

// randomEntry32 gives an entry of 8 bytes, or two of 4.
func randomEntry32(r *rand.Rand, pae bool) uint64 {
	if !pae {
		one := func() uint64 {
			switch r.IntN(8) {
			case 0:
				return 0
			case 1, 2:
				return uint64(r.Uint32())
			case 3:
				return uint64(r.Uint32() & 0x3fe)
			case 4:
				return uint64(r.Uint32()&0xffdf_ff7f) | flagP | flagPS
			}
			return uint64(r.Uint32()&0xf7e) | uint64(r.IntN(13))<<12 | flagP
		}
		return one()<<32 | one()
	}
	const software = 0x7ff0_0000_0000_0000
	switch r.IntN(6) {
	case 0:
		return r.Uint64()&0x8000_0000_ffff_f01f | flagP
	default:
		e := randomEntry(r)
		if e&flagP != 0 {
			e &^= software
		}
		return e
	}
}

func TestSpace32(t *testing.T) {
	t.Parallel()
	g := newGuest(X64)
	// PAE: an entry table of 32 bytes in the middle of a page, flags in CR3.
	g.setEntry(0x5fe0+8*2, 0x6000|flagP)
	g.setEntry(0x6000+8*1, 0x7000|flagP|flagRW)
	g.setEntry(0x7000+8*0x34, 0x9_8765_4000|flagP|flagNX)
	g.write(0x9_8765_4ffe, []byte{0x78, 0x56})
	g.setEntry(0x7000+8*0x35, 0x1_2345_6000|1<<11) // in transition
	g.write(0x1_2345_6000, []byte{0x34, 0x12})
	s := NewSpace(g, 0x5fe0|0x1f, PAE)
	assert.Equal(t, PA(0x5fe0), s.DTB)
	assert.Equal(t, 4, s.PointerSize())
	p, err := s.Pointer(0x80234ffe)
	require.NoError(t, err)
	assert.Equal(t, VA(0x12345678), p)
	m, err := s.Translate(0x80235000)
	require.NoError(t, err)
	assert.True(t, m.Transition)

	// The top of the address space is an end, not a way round to 0.
	_, err = s.Pieces(0xffff_fff0, 0x20)
	require.ErrorIs(t, err, ErrNotMapped)
	_, err = s.Translate(0xffffffff80234000)
	var fault *FaultError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, NonCanonical, fault.Kind, "addresses are extended by zeros")

	g64 := newGuest(X64)
	g64.mapPage(0xffff8000_00001000, 0x3000, size4K, 0)
	g64.write(0x3010, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	p, err = g64.space().Pointer(0xffff8000_00001010)
	require.NoError(t, err)
	assert.Equal(t, VA(0x0807060504030201), p)
	_, err = g64.space().Pointer(0x1000)
	require.ErrorIs(t, err, ErrNotMapped)
	assert.Equal(t, 8, g64.space().PointerSize())
}

func TestVisit32(t *testing.T) {
	t.Parallel()
	mem := make(flatMemory, 0x8000)
	set := func(pa int, e uint64) { binary.LittleEndian.PutUint64(mem[pa:], e) }
	const top = 0x1fe0 // with PAE, the last 32 bytes of a page
	set(top, 0x2000|1)
	set(top+8, 0x2000|3)     // reserved bit
	set(top+16, 0x3000|0x21) // Accessed, as QEMU sets it
	set(top+24, 0x900000|1)  // outside memory
	set(0x2000, 0xabc00000|0x81)
	set(0x3000, 0x4000|1)
	set(0x3008, 0x600000|0x81)
	set(0x3010, 0x602000|0x81)         // reserved bit
	set(0x3018, 0x800000|0x81|(1<<60)) // another
	set(0x4008, 0x5000|1)
	set(0x4010, 0x6000|1<<11)
	set(0x4018, 0x7000)
	set(0x4ff8, 0x7000|1)
	r := newRecorder()
	NewSpace(mem, top, PAE).Visit(KernelHalf, r)
	assert.Equal(t, map[PA]uint64{0x600000: 1 << 21, 0x5000: 0x1000, 0x6000: 0x1000, 0x7000: 0x1000}, r.pages)
	assert.Equal(t, []PA{0x900000}, r.unreadable)
	r = newRecorder()
	NewSpace(mem, top, PAE).Visit(UserHalf, r)
	assert.Equal(t, map[PA]uint64{0xabc00000: 1 << 21}, r.pages)

	mem = make(flatMemory, 0x8000)
	set32 := func(pa int, e uint32) { binary.LittleEndian.PutUint32(mem[pa:], e) }
	set32(0x1000, 0x12c00000|0x81)
	set32(0x1000+4*512, 0x2000|1)
	set32(0x1000+4*768, 0x1000|1)         // Windows' self-map
	set32(0x1000+4*769, 0x03c04000|0x81)  // PSE-36: bit 33
	set32(0x1000+4*1023, 0x03e00000|0x81) // reserved bit
	set32(0x2000+4*1023, 0x5000|1)
	r = newRecorder()
	s := NewSpace(mem, 0x1018, X86)
	s.Visit(KernelHalf, r)
	assert.Equal(t, uint64(0x1000), r.pages[0x5000])
	assert.Equal(t, uint64(0x400000), r.pages[0x2_03c00000])
	assert.Equal(t, uint64(0x1000), r.pages[0x2000], "the self-map maps the tables as pages")
	r = newRecorder()
	s.Visit(UserHalf, r)
	assert.Equal(t, map[PA]uint64{0x12c00000: 0x400000}, r.pages)
	assert.Equal(t, PA(0x1000), s.DTB)
}

func FuzzTranslate32(f *testing.F) {
	f.Add([]byte{0x01, 0x10, 0, 0, 0, 0, 0, 0}, uint32(0), uint32(0x80001234), true)
	f.Add([]byte{0x81, 0x10, 0xc0, 0x12}, uint32(0), uint32(0x00301234), false)
	f.Fuzz(func(t *testing.T, b []byte, dtb, va uint32, pae bool) {
		mem := make(flatMemory, 0x4000)
		copy(mem, b)
		s := NewSpace(mem, uint64(dtb%0x4000), mode32(pae))
		requireModel32(t, s, VA(va))
		s.Visit(KernelHalf, newRecorder())
		_, _ = s.Pieces(VA(va), 0x3000)
	})
}
