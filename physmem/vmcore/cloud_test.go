package vmcore_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// TestCloudHypervisor: the guests that QEMU dumped, in Cloud Hypervisor's container, have
// the same memory and registers, also where processors were added that its headers do not
// count.
func TestCloudHypervisor(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"guest-bsod.vmcore", "bsod-4cpu-q35.vmcore.gz", "la57-1cpu.vmcore.gz"} {
		truth, err := physmemtest.Open(fixture.Sample(t, name))
		require.NoError(t, err)
		cpus := truth.CPUs()
		for _, started := range slices.Compact([]int{1, len(cpus)}) {
			t.Run(fmt.Sprintf("%s, %d started", name, started), func(t *testing.T) { // which gives its buffers back
				file := coretest.CloudHypervisor(t, truth, cpus, started)
				m, err := physmemtest.Open(file)
				require.NoError(t, err)
				assert.Contains(t, m.Describe(), "ELF64 vmcore of Cloud Hypervisor, ")
				fixture.AssertSameMemory(t, truth, m)
				fixture.CheckImage(t, m, file)
				if started == len(cpus) {
					assert.Empty(t, fixture.Untried(t, m))
				} else {
					assert.Equal(t, []physmem.OddityKind{physmem.OddityCount, physmem.OddityUntried}, fixture.Kinds(m))
				}
				require.Len(t, m.CPUs(), len(cpus))
				for i, got := range m.CPUs() {
					assert.Equal(t, cpus[i].ID, got.ID)
					x := *physmem.X86Of(cpus[i])
					for _, s := range []*physmem.Segment{&x.CS, &x.DS, &x.ES, &x.FS, &x.GS, &x.SS, &x.LDT, &x.TR} {
						s.Flags &= 0xf0ff00
					}
					x.GDT.Flags, x.IDT.Flags = 0, 0
					assert.Equal(t, x, *physmem.X86Of(got))
				}
			})
		}
	}
}
