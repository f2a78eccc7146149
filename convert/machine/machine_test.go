package machine_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/convert/machine"
)

// TestPartsAgree: the header, the page tables and the kernel of a machine are described
// apart, and begin the kernel's half at one address: that of the widest address space.
func TestPartsAgree(t *testing.T) {
	t.Parallel()
	for _, m := range machine.All() {
		lowest := m.Modes[0].KernelStart
		for _, mode := range m.Modes {
			if !mode.Split { // each half has tables of its own, of any width
				lowest = min(lowest, mode.KernelStart)
			}
		}
		assert.Equal(t, lowest, m.Kernel.LowestKernel, m.Name())
		assert.Equal(t, uint64(lowest), m.Header.KernelStart, m.Name())
	}
}
