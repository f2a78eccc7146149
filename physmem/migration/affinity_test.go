package migration_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

// domain is an entry of the table: memory of a node.
type domain struct {
	number       uint32
	base, length uint64
	flags        uint32
}

// srat is ACPI tables with a system resource affinity table among them.
func srat(list ...domain) []byte {
	le := binary.LittleEndian
	b := append([]byte("SRAT"), make([]byte, 44)...)
	b = append(b, 0, 16) // a processor
	b = append(b, make([]byte, 14)...)
	for _, d := range list {
		e := make([]byte, 40)
		e[0], e[1] = 1, 40
		le.PutUint32(e[2:], d.number)
		le.PutUint64(e[8:], d.base)
		le.PutUint64(e[16:], d.length)
		le.PutUint32(e[28:], d.flags)
		b = append(b, e...)
	}
	le.PutUint32(b[4:], uint32(len(b)))
	le.PutUint32(b[36:], 1)
	// One that only begins so is in front.
	return append(append([]byte("FACS and SRAT, not a table"), make([]byte, 60)...), b...)
}

// withTables writes a guest as guest does, with ACPI tables, and a device if it has a
// name.
func withTables(low, high int, tables []byte, device string, state []byte, blocks ...blockSize) []byte {
	const name = "/rom@etc/acpi/tables"
	var w writer
	w.begin("pc-q35-9.0")
	w.start(append(blocks, blockSize{name: name, size: 0x20000})...)
	w.part(true, func() {
		for n, b := range blocks {
			for i := range b.size >> 12 {
				w.zero(b.name, int(i))
			}
			w.page(b.name, 0, content(n, 7))
		}
		w.page(name, 0, append(bytes.Clone(tables), make([]byte, 4096-len(tables))...))
	})
	w.clock(low>>10, high>>10)
	if device != "" {
		w.device(device, 0, 1, state)
	}
	return w.end()
}

// TestNodes: which block is which node's follows from the ACPI tables where the names
// don't say it.
func TestNodes(t *testing.T) {
	t.Parallel()
	const end4G = 4 << 30
	tables := srat(domain{0, 0, 0xa0000, 1}, domain{0, 1 << 20, 7 * mib, 1}, domain{1, 8 * mib, 12 * mib, 1}, domain{1, end4G, 12 * mib, 1},
		domain{0, 1 << 40, 0, 0}, domain{1, end4G + 1<<30, 1 << 30, 3})
	whole := []physmem.Range{physmem.Span(0, 20*mib), physmem.Span(end4G, end4G+12*mib)}
	first := func(m *physmem.Image, pa int64) []byte {
		b := make([]byte, 4096)
		_, err := m.ReadAt(b, pa)
		require.NoError(t, err)
		return b
	}
	m := openAll(t, withTables(20*mib, 12*mib, tables, "", nil, blockSize{name: "large", size: 24 * mib}, blockSize{name: "small", size: 8 * mib}))
	assert.Empty(t, m.Oddities())
	assert.Equal(t, whole, m.Ranges())
	assert.Equal(t, content(1, 7), first(m, 0))
	assert.Equal(t, content(0, 7), first(m, 8*mib))

	// A DIMM of the same size as a node: the stream's order decides, and it is said. The
	// window for the other is where the tables have it.
	m = openAll(t, withTables(20*mib, 12*mib, tables, "", nil, blockSize{name: "large", size: 24 * mib}, blockSize{name: "small", size: 8 * mib}, blockSize{name: "also", size: 8 * mib}))
	assert.Equal(t, append(whole[:2:2], physmem.Span(end4G+1<<30, end4G+1<<30+8*mib)), m.Ranges())
	require.Len(t, m.Oddities(), 1)
	assert.Contains(t, m.Oddities()[0].Text, `of the blocks "small" of 8.0 MiB, "large" of 24 MiB several have one size`)
	assert.Equal(t, content(2, 7), first(m, end4G+1<<30))

	// Sizes that are not those of the tables.
	_, err := physmemtest.Open(withTables(20*mib, 12*mib, tables, "", nil, blockSize{name: "large", size: 23 * mib}, blockSize{name: "small", size: 9 * mib}))
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	// A table whose entries do not fill it.
	tables[len(tables)-39]++
	_, err = physmemtest.Open(withTables(20*mib, 12*mib, tables, "", nil, blockSize{name: "large", size: 24 * mib}, blockSize{name: "small", size: 8 * mib}))
	require.ErrorIs(t, err, physmem.ErrUnsupported)
}

// TestPluggable: a virtio-mem device says where its memory is.
func TestPluggable(t *testing.T) {
	t.Parallel()
	const end4G = 4 << 30
	state := func(list ...uint64) []byte {
		b := []byte{1, 2, 3}
		for _, v := range list {
			b = binary.BigEndian.AppendUint64(b, v)
		}
		return append(b, 0, 0, 0, 1, 9, 9)
	}
	blocks := []blockSize{{name: "pc.ram", size: 20 * mib}, {name: "vmem0", size: 16 * mib}, {name: "dimm", size: 4 * mib}}
	m := openAll(t, withTables(20*mib, 0, nil, "0000:00:04.0/virtio-mem", state(end4G+2<<30, 16*mib, 2*mib), blocks...))
	assert.Equal(t, []physmem.Range{physmem.Span(0, 20*mib), physmem.Span(end4G+2<<30, end4G+2<<30+16*mib)}, m.Ranges())
	require.Len(t, m.Oddities(), 1, "the DIMM may be on either side")
	assert.Contains(t, m.Oddities()[0].Text, `left out: "dimm" of 4.0 MiB`)
	for name, bad := range map[string][]byte{
		"another size": state(end4G, 8*mib, 2*mib), "no power of two": state(end4G, 16*mib, 3*mib), "inside the board": state(2*mib, 16*mib, 2*mib),
		"two of them": append(state(end4G, 16*mib, 2*mib), state(end4G+1<<30, 16*mib, 2*mib)...), "cut": state(end4G, 16*mib),
	} {
		m := openAll(t, withTables(20*mib, 0, nil, "0000:00:04.0/virtio-mem", bad, blocks...))
		assert.Equal(t, []physmem.Range{physmem.Span(0, 20*mib)}, m.Ranges(), name)
	}
}
