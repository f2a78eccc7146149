package migration_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// FuzzMigration opens damaged streams of all forms.
func FuzzMigration(f *testing.F) {
	var files [][]byte
	for _, w := range []writer{{}, {noFooters: true, noDescription: true, noConfiguration: true}, {noDescription: true}} {
		file, _ := small(&w)
		files = append(files, file)
	}
	file, _ := mapped()
	files = append(files, file, withLibvirt("LibvirtQemudSave", 0, files[0]), withLibvirtAt(nil))
	for i, file := range files {
		f.Add([]byte{}, uint32(0), uint8(i))
		f.Add([]byte{}, uint32(len(file)-0x2000), uint8(i))
		f.Add([]byte{0, 0, 0x2b, 9, 0, 0, 0x50, 1, 0, 0x10, 0x60, 3}, uint32(0x34), uint8(i))
	}
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, which uint8) {
		file := files[int(which)%len(files)]
		file = fixture.Patch(file[:len(file)-int(cut)%len(file)], patches)
		m, err := physmemtest.Open(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		if m.Format() != physmem.FormatMigration {
			return
		}
		fixture.CheckReads(t, m)
	})
}

// FuzzMigrationTail damages what is behind the memory, where the devices and their
// description are.
func FuzzMigrationTail(f *testing.F) {
	var w writer
	w.begin("pc-q35-9.0")
	w.start(blockSize{name: "pc.ram", size: 1 << 20})
	w.part(true, func() {
		for i := range 0x100 {
			w.zero("pc.ram", i)
		}
	})
	n := w.Len()
	w.cpu(0)
	w.cpu32(1)
	w.clock(1<<10, 0)
	w.device("vmcoreinfo", 0, 1, make([]byte, 17))
	file := w.end()
	f.Add(file[n:])
	f.Add(file[n : len(file)-300])
	f.Fuzz(func(t *testing.T, tail []byte) {
		m, err := physmemtest.Open(append(file[:n:n], tail...))
		if err != nil {
			require.Nil(t, m)
			return
		}
		require.Equal(t, []physmem.Range{{Size: 1 << 20}}, m.Ranges())
		fixture.CheckReads(t, m)
		for _, c := range m.CPUs() {
			require.NotNil(t, c.Registers)
		}
	})
}
