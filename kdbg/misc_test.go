package kdbg

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/vtop"
)

func TestReadBugCheck(t *testing.T) {
	t.Parallel()
	for _, odd := range []bool{false, true} {
		g := guestsim.New(guestsim.Options{BugCheck: [5]uint64{0x12345678_000000d1, 1, ^uint64(0), 3, 4}, Odd: odd})
		s, b := blockOf(t, g)
		bc, err := ReadBugCheck(s, b)
		require.NoError(t, err)
		assert.Equal(t, BugCheck{Code: 0xd1, CodeHigh: 0x12345678, Parameters: [4]uint64{1, ^uint64(0), 3, 4}}, bc)
	}
	g := guestsim.New(guestsim.Options{})
	s, b := blockOf(t, g)
	bc, err := ReadBugCheck(s, b)
	require.NoError(t, err)
	assert.Zero(t, bc)

	b.Data.KiBugcheckData = 0
	_, err = ReadBugCheck(s, b)
	require.ErrorIs(t, err, ErrNotKernel)
	b.Data.KiBugcheckData = 0xffffffff00000000
	_, err = ReadBugCheck(s, b)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

func TestBuildLab(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	s, b := blockOf(t, g)
	lab, err := BuildLab(s, b)
	require.NoError(t, err)
	assert.Equal(t, "19041.1.amd64fre.vb_release.191206-1406", lab)

	page := g.NtBuildLab &^ 0xfff
	tests := []struct {
		name string
		at   uint64
		text []byte
		want string
		is   error
	}{
		{"empty", page, []byte{0}, "", nil},
		{"ends with its page", page + 0xffc, []byte("abc\x00"), "abc", nil},
		{"runs into nothing", page + 0xffc, []byte("abcd"), "", vtop.ErrNotMapped},
		{"control character", page, []byte("ab\x1b[0m\x00"), "", ErrBadString},
		{"not ASCII", page, []byte("ab\x80\x00"), "", ErrBadString},
		{"longest", page, append(fill(maxBuildLab-1), 0), string(fill(maxBuildLab - 1)), nil},
		{"no end", page, append(fill(maxBuildLab), 0), "", ErrBadString},
		{"null", 0, nil, "", ErrNotKernel},
	}
	for _, tt := range tests {
		g.Write(tt.at&^0xfff|page, make([]byte, 0x1000))
		if tt.at != 0 {
			g.Write(tt.at, tt.text)
		}
		b.Data.NtBuildLab = tt.at
		lab, err := BuildLab(s, b)
		require.ErrorIs(t, err, tt.is, tt.name)
		assert.Equal(t, tt.want, lab, tt.name)
	}
	_, err = BuildLab(s, &Block{Raw: make([]byte, MinSize)})
	require.ErrorIs(t, err, ErrAbsentField)
}

func fill(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

func TestReadSharedUserData(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	d, err := ReadSharedUserData(spaceOf(g))
	require.NoError(t, err)
	assert.Equal(t, &SharedUserData{
		InterruptTime: guestsim.InterruptTime, SystemTime: guestsim.SystemTime, TickCount: guestsim.InterruptTime / 156250,
		NtSystemRoot: `C:\Windows`, NtBuildNumber: 0xf0004a61, NtProductType: 1, NtMajorVersion: 10,
		BootID: 7, SuiteMask: 0x110, NumberOfPhysicalPages: d.NumberOfPhysicalPages, ActiveProcessorCount: 2,
	}, d)
	assert.NotZero(t, d.NumberOfPhysicalPages)
}

// TestSharedUserDataTorn: a time that the guest was writing is not known.
func TestSharedUserDataTorn(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	g.Write32(guestsim.SharedUserData+0x14+8, 0x01db3f2f)
	d, err := ReadSharedUserData(spaceOf(g))
	require.NoError(t, err)
	assert.Zero(t, d.SystemTime)
	assert.Equal(t, uint64(guestsim.InterruptTime), d.InterruptTime)
}

func TestSharedUserDataRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(g *guestsim.Guest)
		is     error
	}{
		{"unmapped", func(g *guestsim.Guest) { g.Unmap(guestsim.SharedUserData) }, vtop.ErrNotMapped},
		{"zeros", func(g *guestsim.Guest) { g.Write(guestsim.SharedUserData, make([]byte, 0x1000)) }, ErrImplausible},
		{"version", func(g *guestsim.Guest) { g.Write32(guestsim.SharedUserData+0x26c, 0x45474150) }, ErrImplausible},
		{"no path", func(g *guestsim.Guest) { g.Write16(guestsim.SharedUserData+0x32, 'x') }, ErrImplausible},
		{"endless path", func(g *guestsim.Guest) { g.Write(guestsim.SharedUserData+0x36, fill(0x22a)) }, ErrImplausible},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{})
			tt.change(g)
			d, err := ReadSharedUserData(spaceOf(g))
			assert.Nil(t, d)
			require.ErrorIs(t, err, tt.is)
		})
	}
}

func TestImageSize(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Build: 26100})
	n, err := ImageSize(spaceOf(g), guestsim.KernBase)
	require.NoError(t, err)
	assert.Equal(t, g.ImageSize, n)

	const nt = guestsim.KernBase + 0x110
	tests := []struct {
		field string
		at    uint64
		v     uint32
	}{
		{"e_magic", guestsim.KernBase, 0x4d5a},
		{"e_lfanew", guestsim.KernBase + 0x3c, 0},
		{"e_lfanew", guestsim.KernBase + 0x3c, 0x80000000},
		{"e_lfanew", guestsim.KernBase + 0x3c, 0x7fffffff},
		{"Signature", guestsim.KernBase + 0x3c, 0x1000},
		{"Signature", nt, 0x454e},
		{"Machine", nt + 4, 0x14c},
		{"Magic", nt + 0x18, 0x10b},
		{"SizeOfImage", nt + 0x18 + 0x38, 0},
		{"SizeOfImage", nt + 0x18 + 0x38, 0x1800},
		{"SizeOfImage", nt + 0x18 + 0x38, MaxImageSize + 0x1000},
		{"SizeOfImage", nt + 0x18 + 0x38, 0xfffff000},
	}
	for _, tt := range tests {
		g := guestsim.New(guestsim.Options{})
		g.Write32(tt.at, tt.v)
		_, err := ImageSize(spaceOf(g), guestsim.KernBase)
		var e *ImageError
		require.ErrorAs(t, err, &e, "%s %#x", tt.field, tt.v)
		assert.Equal(t, tt.field, e.Field, "%#x", tt.v)
		assert.NotEmpty(t, e.Error())
	}
	g.Unmap(guestsim.KernBase)
	_, err = ImageSize(spaceOf(g), guestsim.KernBase)
	require.ErrorIs(t, err, vtop.ErrNotMapped, "zeros of unreadable memory are not believed")
	_, err = ImageSize(spaceOf(g), 0xfffffffffffff000)
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

// TestErrorTexts: each names the place, what was seen and what was expected.
func TestErrorTexts(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"OwnerTag at fffff800`00000010: got 0x1, want 0x4742444b (\"KDBG\")":                  &TagError{VA: 0xfffff80000000000, Got: 1},
		"Size at fffff800`00000014: got 0x7, want a multiple of 8 in 0x208..0x800":            &SizeError{VA: 0xfffff80000000000, Got: 7},
		"KernBase at fffff800`00000018 (+0x18): got 0x1, want a page":                         &MismatchError{VA: 0xfffff80000000000, Field: "KernBase", Offset: 0x18, Got: 1, Want: "a page"},
		"NtBuildLab at +0x208: not in this debugger data block of 0x208 bytes":                &FieldError{Field: "NtBuildLab", Offset: 0x208, Size: 0x208},
		"KDBG.NtBuildLab: got 00000000`00000001, want a kernel address":                       &PointerError{What: "KDBG.NtBuildLab", Got: 1},
		"KPRCB.Context at fffff800`00000000: got 00000000`00000001, want a kernel address":    &PointerError{What: "KPRCB.Context", At: 0xfffff80000000000, Got: 1},
		"debugger data block at fffff800`00000000: only 0x2 of 0x18 bytes are readable: null": &TruncatedError{VA: 0xfffff80000000000, Readable: 2, Want: 0x18, Err: errNull},
		"no encoded block at fffff800`00000000: none of the 64 rotations makes the qwords 0x1 at +0x10 and 0x2 at +0x138 a \"KDBG\" tag with a size and a page size of 0x1000": &EncodingError{
			VA: 0xfffff80000000000, Tag: 1, PageSize: 2,
		},
	} {
		assert.Equal(t, want, err.Error())
	}
}

type nullError struct{}

func (nullError) Error() string { return "null" }

var errNull error = nullError{}
