package kdbg

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

func TestReadBugCheck(t *testing.T) {
	t.Parallel()
	for _, odd := range []bool{false, true} {
		g := guestsim.New(guestsim.Options{BugCheck: [5]uint64{0x12345678_000000d1, 1, ^uint64(0), 3, 4}, Odd: odd})
		b := guestKernel(t, g)
		bc, err := b.BugCheck()
		require.NoError(t, err)
		assert.Equal(t, BugCheck{Code: 0xd1, CodeHigh: 0x12345678, Parameters: [4]uint64{1, ^uint64(0), 3, 4}}, bc)
	}
	g := guestsim.New(guestsim.Options{})
	b := guestKernel(t, g)
	bc, err := b.BugCheck()
	require.NoError(t, err)
	assert.Zero(t, bc)

	b.Data.KiBugcheckData = 0
	_, err = b.BugCheck()
	require.ErrorIs(t, err, ErrNotKernel)
	b.Data.KiBugcheckData = 0xffffffff00000000
	_, err = b.BugCheck()
	require.ErrorIs(t, err, vtop.ErrNotMapped)
}

func TestBuildLab(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	b := guestKernel(t, g)
	lab, err := b.BuildLab()
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
		lab, err := b.BuildLab()
		require.ErrorIs(t, err, tt.is, tt.name)
		assert.Equal(t, tt.want, lab, tt.name)
	}
	_, err = (&Kernel{b.Memory, &Block{Raw: make([]byte, wire.MinSize)}}).BuildLab()
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
	d, err := guestMemory(g).SharedUserData()
	require.NoError(t, err)
	assert.Equal(t, &SharedUserData{
		InterruptTime: guestsim.InterruptTime, SystemTime: guestsim.SystemTime, TickCount: guestsim.InterruptTime / 156250,
		NtSystemRoot: `C:\Windows`, NtBuildNumber: 0xf0004a61, NtProductType: 1, NtMajorVersion: 10,
		BootID: 7, SuiteMask: 0x110, NumberOfPhysicalPages: d.NumberOfPhysicalPages, ActiveProcessorCount: 2,
	}, d)
	assert.NotZero(t, d.NumberOfPhysicalPages)
}

// TestSharedUserDataTorn: a time that the guest was writing.
func TestSharedUserDataTorn(t *testing.T) {
	t.Parallel()
	const at = guestsim.SharedUserData + 0x14
	for name, tt := range map[string]struct {
		low, high1, high2 uint32
		want              uint64
	}{
		"the lower half is new":       {0x12, 0x01db3f2e, 0x01db3f2f, 0x01db3f2f00000012},
		"the lower half is still old": {0xfffffff0, 0x01db3f2e, 0x01db3f2f, 0x01db3f2efffffff0},
		"of no one moment":            {0x12, 0x01db3f2f, 0x01db3f2e, 0},
		"of other times":              {0x12, 0x01db3f2e, 0x01db4000, 0},
	} {
		g := guestsim.New(guestsim.Options{})
		g.Write32(at, tt.low)
		g.Write32(at+4, tt.high1)
		g.Write32(at+8, tt.high2)
		d, err := guestMemory(g).SharedUserData()
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, d.SystemTime, name)
		assert.Equal(t, uint64(guestsim.InterruptTime), d.InterruptTime, name)
	}
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
			d, err := guestMemory(g).SharedUserData()
			assert.Nil(t, d)
			require.ErrorIs(t, err, tt.is)
		})
	}
}
