package xen_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// FuzzXen opens damaged cores and saved states.
func FuzzXen(f *testing.F) {
	g := guest()
	files := [][]byte{g.Core(), g.Save(), g.Libxc(), g.Xenops(), g.Libvirt()}
	for i, file := range files {
		f.Add([]byte{}, uint32(0), uint8(i))
		f.Add([]byte{}, uint32(len(file)/2), uint8(i))
		f.Add([]byte{0, 2, 0x20, 9, 0, 0, 0x2c, 1, 0, 0x10, 0x60, 3}, uint32(0x34), uint8(i))
	}
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, which uint8) {
		file := files[int(which)%len(files)]
		file = fixture.Patch(file[:len(file)-int(cut)%len(file)], patches)
		m, err := physmemtest.Open(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		if m.Format() != physmem.FormatXen {
			return
		}
		require.LessOrEqual(t, len(m.CPUs()), len(file)/0x400)
		for _, c := range m.CPUs() {
			require.Equal(t, m.Machine(), c.Registers.Machine())
		}
		fixture.CheckReads(t, m)
		fixture.CheckImage(t, m, file)
	})
}
