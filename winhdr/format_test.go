package winhdr

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr/fields"
	"windmp/winhdr/wincontext"
)

func TestFormatsAreValid(t *testing.T) {
	t.Parallel()
	for _, f := range Formats() {
		require.NoError(t, f.Validate(), f.Name)
	}
	assert.Equal(t, 0x2000, X64.Size())
	assert.Equal(t, 0x1000, X86.Size())
	assert.Equal(t, 0x2000, HeadSize())
	assert.Equal(t, 0x1000, HeadSize(X86))
	assert.Equal(t, 42, X64.MaxRuns())
	assert.Equal(t, 86, X86.MaxRuns())
	assert.Equal(t, 0x1058, X64.LeastSize)
	assert.Equal(t, 0xfc8, X86.LeastSize)
	assert.Equal(t, 0x28, X64.SummarySize)
	assert.Equal(t, 0x20, X86.SummarySize)
	assert.Equal(t, []byte{2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0x80}, X64.Pointers(0x102, 1<<63|3))
	assert.Equal(t, []byte{2, 1, 0, 0, 3, 0, 0, 0}, X86.Pointers(0x102, 1<<63|3))
	assert.Empty(t, X86.Pointers())
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(f *Format){
		"a structure or a function is missing":                                        func(f *Format) { f.TableBase = nil },
		"the header has no field Signature":                                           func(f *Format) { f.Header = fields.Of[wincontext.Context64]() },
		"LeastSize 8193 or PointerSize 8 is out of range":                             func(f *Format) { f.LeastSize = 0x2001 },
		"a CONTEXT of 0x2000 bytes does not fit into the header's 0xbb8":              func(f *Format) { f.Registers = f.Header },
		"the CONTEXT of all zeros: 32-bit context: got 0x4d0 bytes, want 0x2cc":       func(f *Format) { f.DecodeContext = decoder(wincontext.DecodeContext32) },
		"the CONTEXT is of machine 0x8664 and has 0x4d0 bytes, want 0xaa64 and 0x4d0": func(f *Format) { f.Machine = wincontext.MachineARM64 },
	} {
		f := *X64
		spoil(&f)
		require.EqualError(t, f.Validate(), want)
	}
}

func TestFieldsOfRefuses(t *testing.T) {
	t.Parallel()
	assert.Panics(t, func() { fields.Of[int]() })
	assert.Panics(t, func() { fields.Of[struct{ A int }]() })
	assert.Panics(t, func() { fields.Of[struct{ A []byte }]() })
}

func TestRecognise(t *testing.T) {
	t.Parallel()
	put := func(b []byte, at int, v uint32) []byte {
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	wide, narrow := goodHeader().Encode, goodHeader32().Encode
	for name, tt := range map[string]struct {
		b    []byte
		want *Format
	}{
		"x64":                          {wide(), X64},
		"x86":                          {narrow(), X86},
		"x64, first signature damaged": {put(wide(), 0, 0), X64},
		"x86, first signature damaged": {put(narrow(), 0, 0), X86},
		"x64, second damaged":          {put(wide(), 4, 0), X64},
		"x86, second damaged":          {put(narrow(), 4, 0), X86},
		"x86's second in x64's":        {put(wide(), 4, ValidDumpDUMP), X64},
		"x64's second in x86's":        {put(narrow(), 4, ValidDumpDU64), X64},
		"x64, machine damaged":         {put(wide(), 0x30, 0), X64},
		"x86, machine damaged":         {put(narrow(), 0x20, 0), X86},
		"x64, an address that looks like x86's machine": {put(wide(), 0x20, wincontext.MachineI386), X64},
		"arm64":                   {put(wide(), 0x30, wincontext.MachineARM64), ARM64},
		"an unread machine":       {put(wide(), 0x30, wincontext.MachineIA64), X64},
		"first signature alone":   {[]byte("PAGE...."), X64},
		"both signatures of x86":  {[]byte("PAGEDUMP"), X86},
		"both of x64":             {[]byte("PAGEDU64"), X64},
		"a text":                  {[]byte("HEX DUMP of something, longer than the field of the machine"), nil},
		"second and nothing else": {put(put(wide(), 0, 0), 0x30, 0), nil},
		"both signatures damaged": {put(put(wide(), 0, 0), 4, 0), nil},
		"short":                   {[]byte("PAGEDU6"), nil},
		"nothing":                 {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, ok := Recognise(tt.b)
			assert.Equal(t, tt.want != nil, ok)
			if ok {
				assert.Same(t, tt.want, f)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, good := range []*Header{goodHeader(), goodHeader32()} {
		raw := good.Encode()
		h, err := Decode(append(raw, make([]byte, 0x1234)...))
		require.NoError(t, err)
		assert.Same(t, good.Format(), h.Format())
		assert.Equal(t, raw, h.Encode())
		_, err = Decode(raw[:len(raw)-1])
		var size *fields.SizeError
		require.ErrorAs(t, err, &size)
		_, err = Decode(raw[1:])
		require.ErrorIs(t, err, ErrNotHeader)
	}
	_, err := Decode(goodHeader().Encode(), X86)
	require.NoError(t, err, "the caller knows nothing else")
}

// TestTableBaseARM64: what beside the address is in TTBR0_EL1 is none of it.
func TestTableBaseARM64(t *testing.T) {
	t.Parallel()
	h := ARM64.New()
	h.DirectoryTableBase = 0x4000_946a_a801
	assert.Equal(t, uint64(0x4000_946a_a000), ARM64.TableBase(h))
	h.DirectoryTableBase |= 0x40 << 48
	assert.Equal(t, uint64(0x4000_946a_a000), ARM64.TableBase(h))
}
