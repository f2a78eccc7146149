package hyperv_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// FuzzHyperV opens damaged saved states, plain and compressed, with the checksums of
// the tables set right afterwards or not.
func FuzzHyperV(f *testing.F) {
	im, _, cpus := guest(f, physmem.Range{Size: 0x6000}, physmem.Range{Start: 1 << 32, Size: 0x3000})
	files := [][]byte{
		coretest.HyperV{Applied: 1}.Write(f, im, cpus[:1]),
		coretest.HyperV{Pack: true, VBS: true}.Write(f, im, cpus),
		coretest.HyperV{Pack: true, Log: 1}.Write(f, im, cpus),
	}
	for i := range files {
		f.Add([]byte{}, uint32(0), uint8(i), false)
		f.Add([]byte{}, uint32(0x2345), uint8(i), false)
		f.Add([]byte{0, 0x20, 4, 1, 0, 0x20, 8, 1}, uint32(0), uint8(i), true)
		f.Add([]byte{0, 0x10, 0x1b, 0x20, 0, 0x20, 0x12, 1}, uint32(0), uint8(i), true)
	}
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, which uint8, sums bool) {
		file := files[int(which)%len(files)]
		file = fixture.Patch(file[:len(file)-int(cut)%len(file)], patches)
		if sums {
			setSums(file)
		}
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
		sound, err := m.Sound(t.Context())
		require.NoError(t, err)
		if sound != m && len(sound.Ranges()) > 0 {
			fixture.CheckReads(t, sound)
			require.False(t, sound.MetDamage())
		}
	})
}

// setSums makes the checksums of headers, objects, tables of keys and the log those of
// what is there, as far as it finds them.
func setSums(file []byte) {
	le := binary.LittleEndian
	set := func(at, size, sumAt int) bool {
		if at < 0 || at > len(file)-size {
			return false
		}
		b := file[at:][:size]
		clear(b[sumAt:][:4])
		le.PutUint32(b[sumAt:], crc32.ChecksumIEEE(b))
		return true
	}
	set(0, 46, 4)
	if set(0x1000, 46, 4) {
		set(int(le.Uint32(file[0x1000+26:])), 34, 4)
	}
	for i := range 16 {
		at := 0x2008 + 18*i
		if set(at, 18, 1) && file[at] == 2 {
			set(int(le.Uint32(file[at+5:])), 10, 6)
		}
	}
}
