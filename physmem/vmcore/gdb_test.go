package vmcore_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// TestGDBScript reads what QEMU's gdb script writes, with and without the note
// that the guest left.
func TestGDBScript(t *testing.T) {
	t.Parallel()
	truth, err := physmemtest.Open(fixture.Sample(t, "live-2cpu.vmcore.gz"))
	require.NoError(t, err)
	guest := truth.GuestNote().Desc
	for _, tc := range []struct {
		name string
		file []byte
		note []byte
	}{
		{"with the guest's note", coretest.GDBScript(t, truth, guest), guest},
		{"without", coretest.GDBScript(t, truth, nil), nil},
		{"the script before QEMU 2.6", coretest.GDBScriptOld(t, truth), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, err := physmemtest.Open(tc.file)
			require.NoError(t, err)
			assert.Equal(t, physmem.FormatELF, m.Format())
			assert.Contains(t, m.Describe(), "ELF64 vmcore of QEMU's gdb script, ")
			assert.NotContains(t, m.Describe(), "paging")
			assert.Empty(t, m.CPUs())
			assert.Empty(t, m.Oddities())
			if tc.note == nil {
				assert.Nil(t, m.GuestNote())
			} else {
				require.NotNil(t, m.GuestNote())
				assert.Equal(t, tc.note, m.GuestNote().Desc)
			}
			fixture.AssertSameMemory(t, truth, m)
			assert.Empty(t, place(&m, truth.Ranges()))
			require.NoError(t, physmemtest.Test(m, truth.Ranges(), nil))
		})
	}
}

// TestVirtualBoxOfSamples: the guests that QEMU dumped, in VirtualBox' container,
// have the same memory and registers.
func TestVirtualBoxOfSamples(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"guest-bsod.vmcore", "bsod-4cpu-q35.vmcore.gz", "shadow-user-2cpu.vmcore.gz", "la57-1cpu.vmcore.gz"} {
		truth, err := physmemtest.Open(fixture.Sample(t, name))
		require.NoError(t, err)
		cpus := coretest.WithAll(truth.CPUs())
		for _, format := range []uint32{0x10004, 0x10005, 0x10006} {
			t.Run(fmt.Sprintf("%s, %x", name, format), func(t *testing.T) { // which gives its buffers back
				m, err := physmemtest.Open(coretest.VirtualBox(t, truth, cpus, format))
				require.NoError(t, err)
				assert.Contains(t, m.Describe(), "VirtualBox core")
				assert.Empty(t, fixture.Untried(t, m))
				assert.Nil(t, m.GuestNote())
				fixture.AssertSameMemory(t, truth, m)
				got := m.CPUs()
				require.Len(t, got, len(cpus))
				for i := range got {
					want := cpus[i]
					want.NoteOffset = got[i].NoteOffset
					x := physmem.X86Of(want)
					for _, s := range []*physmem.Segment{&x.CS, &x.DS, &x.ES, &x.FS, &x.GS, &x.SS, &x.LDT, &x.TR} {
						s.Flags &= 0xf0ff00 // QEMU keeps parts of base and limit there too
					}
					x.GDT.Flags, x.IDT.Flags = 0, 0
					assert.Equal(t, want, got[i])
					assert.Equal(t, physmem.X86Of(truth.CPUs()[i]).KernelGS(), physmem.X86Of(got[i]).KernelGS())
					assert.Equal(t, physmem.X86Of(truth.CPUs()[i]).LA57(), physmem.X86Of(got[i]).LA57())
				}
			})
		}
	}
}
