package physmem_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
)

// twoBlocks is a guest with RAM at [0, 0x5000) and [0x10000, 0x13000).
func twoBlocks(cpus int) *builder {
	return &builder{
		notes: cpuNotes(cpus),
		loads: []load{
			{vaddr: 0, paddr: 0, filesz: 0x5000, memsz: 0x5000, off: 0},
			{vaddr: 0x10000, paddr: 0x10000, filesz: 0x3000, memsz: 0x3000, off: 0x5000},
		},
		memory: append(pattern(0, 0x5000), pattern(0x10000, 0x3000)...),
	}
}

func TestOpenELF(t *testing.T) {
	t.Parallel()
	m := twoBlocks(2).open(t)
	assert.Equal(t, physmem.FormatELF, m.Format())
	assert.Equal(t, "ELF64 vmcore of QEMU, 3 program headers, 2 CPUs", m.Describe())
	assert.Empty(t, m.Oddities())
	assert.Equal(t, []physmem.Range{{0, 0x5000}, {0x10000, 0x3000}}, m.Ranges())
	p := make([]byte, 0x100)
	n, err := m.ReadAt(p, 0x10010)
	require.NoError(t, err)
	assert.Equal(t, 0x100, n)
	assert.Equal(t, pattern(0x10010, 0x100), p)

	cpus := m.CPUs()
	require.Len(t, cpus, 2)
	assert.Equal(t, uint32(1), cpus[1].ID)
	assert.True(t, cpus[1].HasKernelGSBase)
}
