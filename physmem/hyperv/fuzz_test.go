package hyperv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// FuzzHyperV opens damaged saved states, plain and compressed.
func FuzzHyperV(f *testing.F) {
	im, _, cpus := guest(f)
	files := [][]byte{
		coretest.HyperV{Applied: 1}.Write(f, im, cpus),
		coretest.HyperV{Pack: true, VBS: true}.Write(f, im, cpus),
	}
	for i := range files {
		f.Add([]byte{}, uint32(0), uint8(i))
		f.Add([]byte{}, uint32(0x2345), uint8(i))
		f.Add([]byte{0, 0x20, 4, 1, 0, 0x20, 8, 1}, uint32(0), uint8(i))
	}
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, which uint8) {
		file := files[int(which)%len(files)]
		file = fixture.Patch(file[:len(file)-int(cut)%len(file)], patches)
		m, err := physmemtest.Open(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		if m.Format() != physmem.FormatHyperV {
			return
		}
		fixture.CheckReads(t, m)
		if m.Located() {
			fixture.CheckImage(t, m, file)
		}
		require.LessOrEqual(t, len(m.CPUs()), 1<<12)
		for _, c := range m.CPUs() {
			require.NotNil(t, c.Registers)
		}
	})
}
