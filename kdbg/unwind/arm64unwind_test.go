package unwind

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/vtop"
)

// armDo is an instruction of a test's function, carried out by simARM64. It shares
// nothing with the walker.
type armDo struct {
	kind string // store, load, sub, add, frame (x29 = sp+n), unframe (sp = x29-n), sign, check, body, ret, home
	a, b int    // registers, b 0 for none; 32 for a pair of floating point
	n    uint64 // an offset from sp, or what sp changes by where x is set
	x    bool   // pre-indexed store, post-indexed load
}

// simARM64 is a processor that knows these instructions.
type simARM64 struct {
	r      [32]uint64
	m      *memory
	stored map[int]bool
}

// newSimARM64 has each register filled, and was called from before back.
func newSimARM64(m *memory, back, sp vtop.VA) *simARM64 {
	s := &simARM64{m: m, stored: map[int]bool{}}
	for i := range 31 {
		s.r[i] = 0x1000 + uint64(i)
	}
	s.r[29] = uint64(stackTop) - 0x800
	s.r[30], s.r[31] = uint64(back), uint64(sp)
	return s
}

// frame is its state before the instruction at pc.
func (s *simARM64) frame(pc vtop.VA) Frame {
	f := Frame{PC: pc, Exact: true}
	for r, v := range s.r {
		f.set(r, v)
	}
	f.SP = vtop.VA(s.r[31])
	return f
}

const signature = uint64(0x2a) << 48

func (s *simARM64) do(i armDo) {
	sp := &s.r[31]
	word := func(k int) uint64 {
		var b [8]byte
		_, _ = s.m.space().ReadVirtual(b[:], vtop.VA(*sp+uint64(8*k)))
		return binary.LittleEndian.Uint64(b[:])
	}
	switch i.kind {
	case "store":
		if i.x {
			*sp -= i.n
			i.n = 0
		}
		for k, r := range []int{i.a, i.b} {
			if r != 0 && r < 32 {
				s.m.write64(vtop.VA(*sp+i.n+uint64(8*k)), s.r[r])
				s.stored[r] = true
			}
		}
	case "load":
		at := i.n
		if i.x {
			at = 0
		}
		for k, r := range []int{i.a, i.b} {
			if r != 0 && r < 32 {
				s.r[r] = word(int(at/8) + k)
			}
		}
		if i.x {
			*sp += i.n
		}
	case "sub":
		*sp -= i.n
	case "add":
		*sp += i.n
	case "frame":
		s.r[29] = *sp + i.n
	case "unframe":
		*sp = s.r[29] - i.n
	case "sign":
		s.r[30] &^= 0x7f << 48
		s.r[30] |= signature
	case "check":
		s.r[30] |= 0xffff << 48
	case "body": // spoils what was saved
		for r := range s.stored {
			if r != 29 {
				s.r[r] = 0xbad0000 + uint64(r)
			}
		}
	}
}

func st(a, b int, n uint64) armDo  { return armDo{kind: "store", a: a, b: b, n: n} }
func stx(a, b int, n uint64) armDo { return armDo{kind: "store", a: a, b: b, n: n, x: true} }
func do(kind string, n ...uint64) armDo {
	return armDo{kind: kind, n: append(n, 0)[0]}
}

// function is a prologue, a body, and the epilogue that mirrors the former; of canonical
// functions the epilogue leaves out what set x29 and stored parameters.
func armFunction(canonical bool, prologue ...armDo) []armDo {
	code := append(slices.Clone(prologue), do("body"), do("body"))
	opposite := map[string]string{"store": "load", "sub": "add", "frame": "unframe", "sign": "check", "nop": "nop"}
	for _, i := range slices.Backward(prologue) {
		if i.kind == "home" || i.kind == "frame" && canonical {
			continue
		}
		i.kind = opposite[i.kind]
		code = append(code, i)
	}
	return append(code, do("ret"))
}

// packed is the second word of an entry.
func packed(flag, length, regF, regI, h, cr, frame int) uint32 {
	return uint32(flag | length<<2 | regF<<13 | regI<<16 | h<<20 | cr<<21 | frame/16<<23)
}

const armBegin = 0x1000

// armImage is an image with the function's entry and .xdata record.
func armImage(word uint32, xdata []byte) (*built, *List) {
	b := newBuilt()
	b.write32(imageBase+0x7100, 0x97fe66ed) // bl
	b.write(imageBase+dataRVA, xdata)
	b.write32(imageBase+pdataRVA, armBegin, word, 0x6000, packed(1, 4, 0, 0, 0, 0, 16))
	b.headers(16)
	b.write(imageBase+0x84, []byte{0x64, 0xaa})
	return b, NewList([]*Image{{Base: imageBase, Size: imageSize}})
}

// everywhere runs the function and steps from each of its instructions to the caller.
func everywhere(t *testing.T, b *built, images *List, code []armDo) {
	t.Helper()
	sim := newSimARM64(b.memory, imageBase+0x7104, stackTop-0x1000)
	before := sim.r
	for i, c := range code {
		for _, exact := range []bool{true, false} {
			if !exact && (i == 0 || c.kind != "body" || code[i-1].kind != "body") {
				continue
			}
			f := sim.frame(imageBase + armBegin + vtop.VA(4*i))
			f.Exact = exact
			step, err := ARM64.Step(b.space(), images, f, limits)
			at := fmt.Sprintf("instruction %d, %v", i, c)
			require.NoError(t, err, at)
			requireCaller(t, step, before, at)
			inside(t, imageBase, step.Read)
		}
		sim.do(c)
	}
	require.Equal(t, before[19:32], sim.r[19:32], "the test's function is right")
}

// requireCaller: a step has led to the caller that had these registers, x30 being where
// it goes on.
func requireCaller(t *testing.T, step Step, before [32]uint64, at string) {
	t.Helper()
	c := &step.Caller
	if step.How != Unwind && step.How != Epilogue || uint64(c.PC) != before[30] || uint64(c.SP) != before[31] ||
		c.Known != nonvolatileARM64 || !slices.Equal(c.Registers[19:30], before[19:30]) || c.Exact {
		require.Fail(t, "not the caller", "%s: %s to %+v, want %#x", at, step.How, *c, before)
	}
}

// home stores eight parameters.
func home() []armDo { return []armDo{do("home"), do("home"), do("home"), do("home")} }

// TestPackedARM64: the canonical prologues as Microsoft documents them.
func TestPackedARM64(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		regF, regI, h, cr, frame int
		prologue                 []armDo
	}{
		"locals only":     {frame: 48, prologue: []armDo{do("sub", 48)}},
		"many locals":     {frame: 8176, prologue: []armDo{do("sub", 4080), do("sub", 4096)}},
		"one":             {regI: 1, frame: 16, prologue: []armDo{stx(19, 0, 16)}},
		"three":           {regI: 3, frame: 64, prologue: []armDo{stx(19, 20, 32), st(21, 0, 16), do("sub", 32)}},
		"ten":             {regI: 10, frame: 80, prologue: []armDo{stx(19, 20, 80), st(21, 22, 16), st(23, 24, 32), st(25, 26, 48), st(27, 28, 64)}},
		"lr":              {cr: 1, frame: 32, prologue: []armDo{stx(30, 0, 16), do("sub", 16)}},
		"x19 and lr":      {regI: 1, cr: 1, frame: 32, prologue: []armDo{do("sub", 16), st(19, 30, 0), do("sub", 16)}},
		"two and lr":      {regI: 2, cr: 1, frame: 48, prologue: []armDo{stx(19, 20, 32), st(30, 0, 16), do("sub", 16)}},
		"three and lr":    {regI: 3, cr: 1, frame: 32, prologue: []armDo{stx(19, 20, 32), st(21, 30, 16)}},
		"floats":          {regF: 2, frame: 48, prologue: []armDo{stx(32, 32, 32), st(32, 0, 16), do("sub", 16)}},
		"x and d":         {regI: 2, regF: 1, cr: 1, frame: 64, prologue: []armDo{stx(19, 20, 48), st(30, 0, 16), st(32, 32, 24), do("sub", 16)}},
		"homes":           {regI: 2, h: 1, frame: 96, prologue: slices.Concat([]armDo{stx(19, 20, 80)}, home(), []armDo{do("sub", 16)})},
		"homes and chain": {regI: 1, h: 1, cr: 3, frame: 112, prologue: slices.Concat([]armDo{stx(19, 0, 80)}, home(), []armDo{stx(29, 30, 32), do("frame")})},
		"chain":           {cr: 3, frame: 512, prologue: []armDo{stx(29, 30, 512), do("frame")}},
		"chain and x":     {regI: 2, cr: 3, frame: 48, prologue: []armDo{stx(19, 20, 16), stx(29, 30, 32), do("frame")}},
		"signed":          {regI: 2, cr: 2, frame: 48, prologue: []armDo{do("sign"), stx(19, 20, 16), stx(29, 30, 32), do("frame")}},
		"large chain":     {cr: 3, frame: 528, prologue: []armDo{do("sub", 528), st(29, 30, 0), do("frame")}},
		"largest chain":   {regI: 2, cr: 3, frame: 8176, prologue: []armDo{stx(19, 20, 16), do("sub", 4080), do("sub", 4080), st(29, 30, 0), do("frame")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code := armFunction(true, tt.prologue...)
			b, images := armImage(packed(1, len(code), tt.regF, tt.regI, tt.h, tt.cr, tt.frame), nil)
			everywhere(t, b, images, code)
			begin, end, ok := ARM64.Function(b.space(), images, imageBase+armBegin+4)
			assert.True(t, ok)
			assert.Equal(t, [2]vtop.VA{imageBase + armBegin, imageBase + armBegin + vtop.VA(4*len(code))}, [2]vtop.VA{begin, end})
		})
	}
}

// xdata is a record of one or two words, then scopes and codes.
func xdata(length int, one bool, epilogues, words int, rest ...byte) []byte {
	head := uint32(length | epilogues<<22 | words<<27)
	if one {
		head |= 1 << 21
	}
	return append(binary.LittleEndian.AppendUint32(nil, head), rest...)
}

// TestRecordARM64: .xdata records, an epilogue at the end or by scopes, a header of two words.
func TestRecordARM64(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prologue []armDo
		codes    []byte // of prologue and epilogue
	}{
		"fplr, pairs":      {[]armDo{stx(29, 30, 256), st(32, 32, 224), st(19, 20, 240), do("frame")}, []byte{0xe1, 0xc8, 0x1e, 0xd8, 0x1c, 0x9f, 0xe4}},
		"x19, signed":      {[]armDo{do("sign"), stx(19, 20, 32), st(29, 30, 16), do("frame", 16), do("sub", 0x1000)}, []byte{0xc1, 0x00, 0xe2, 2, 0x42, 0x24, 0xfc, 0xe4}},
		"next":             {[]armDo{stx(19, 20, 64), st(21, 22, 16), st(23, 24, 32), st(30, 0, 48)}, []byte{0xd2, 0xc6, 0xe6, 0xe6, 0xcc, 0x07, 0xe4}},
		"next up to d":     {[]armDo{stx(25, 26, 64), st(27, 28, 16), st(32, 32, 32), st(30, 0, 48)}, []byte{0xd2, 0xc6, 0xe6, 0xe6, 0xcd, 0x87, 0xe4}},
		"lrpair":           {[]armDo{do("sub", 32), st(21, 30, 8)}, []byte{0xd6, 0x41, 0x02, 0xe4}},
		"single, large":    {[]armDo{stx(28, 0, 16), do("sub", 0x2000), st(23, 0, 504), do("nop")}, []byte{0xe3, 0xd1, 0x3f, 0xe0, 0, 2, 0, 0xd5, 0x21, 0xe4}},
		"any":              {[]armDo{stx(20, 21, 32), st(30, 0, 16), st(32, 0, 24)}, []byte{0xe7, 0x08, 0x43, 0xe7, 0x1e, 0x02, 0xe7, 0x74, 0x01, 0xe4}},
		"floats, reserved": {[]armDo{stx(32, 0, 16), stx(32, 32, 32), st(32, 0, 24), do("nop")}, []byte{0xf9, 1, 2, 0xdc, 0x03, 0xda, 0x03, 0xde, 0x01, 0xe4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code := armFunction(false, tt.prologue...)
			codes := append(slices.Clone(tt.codes), 0xe3, 0xe3, 0xe3)
			codes = codes[:len(codes)&^3]
			words, n := len(codes)/4, len(code)
			scope := binary.LittleEndian.AppendUint32(nil, uint32(len(tt.prologue)+2))
			for _, record := range [][]byte{
				xdata(n, true, 0, words, codes...),
				xdata(n, false, 1, words, append(slices.Clone(scope), codes...)...),
				xdata(n, false, 0, 0, slices.Concat(binary.LittleEndian.AppendUint32(nil, uint32(1|words<<16)), scope, codes)...),
			} {
				b, images := armImage(dataRVA, record)
				everywhere(t, b, images, code)
			}
		})
	}
}
