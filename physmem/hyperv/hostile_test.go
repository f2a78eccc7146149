package hyperv_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/hyperv"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// block is the value of a memory block.
func block(pages, first, gpa uint64) []byte {
	b := make([]byte, 48)
	for i, v := range []uint64{3, pages, first, gpa} {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	return b
}

// filled is a compressed RAM block, all of it the same 8 bytes.
func filled(value uint64) []byte {
	b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, 0xfffffffd), value)
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, 0x100), 0xffffffff)
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestHuge opens a guest of 8 GiB in 8192 compressed blocks, which lie in the tables
// of keys: what stays is 16 bytes or so for each, and the blocks that were read last.
func TestHuge(t *testing.T) {
	const blocks = 1 << 13
	keys := map[string]any{"savedstate/RamMemoryBlock0": block(blocks*256, 0, 0)}
	for i := range uint64(blocks) {
		keys[fmt.Sprintf("savedstate/RamBlock%d", i)] = filled(i)
	}
	im, _, cpus := guest(t, physmem.Range{Size: 0x1000})
	file := coretest.HyperV{Keys: keys}.Write(t, im, cpus)
	before := heap()
	m, err := physmemtest.Open(file)
	require.NoError(t, err)
	assert.Less(t, heap()-before, int64(1<<20))
	assert.Equal(t, []physmem.Range{{Size: blocks << 20}}, m.Ranges())
	p := make([]byte, physmem.PageSize)
	for i := int64(0); i < blocks; i += 97 {
		_, err := m.ReadAt(p, i<<20+0x3000)
		require.NoError(t, err)
		require.Equal(t, uint64(i), binary.LittleEndian.Uint64(p[0xff8:]))
	}
	assert.Less(t, heap()-before, int64(20<<20))
	runtime.KeepAlive(m)
	runtime.KeepAlive(file)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = hyperv.Opener().Open(ctx, physmem.NewSource("", bytes.NewReader(file), int64(len(file))))
	require.ErrorIs(t, err, context.Canceled)
}

// TestLies: numbers that can't be, and structures that lead to themselves, cost no
// time and no memory.
func TestLies(t *testing.T) {
	t.Parallel()
	im, _, cpus := guest(t, physmem.Range{Size: 0x6000})
	le := binary.LittleEndian
	chunk := func(b []byte, id, size uint32, data ...byte) []byte {
		return append(append(le.AppendUint32(le.AppendUint32(b, id), size), make([]byte, 8)...), data...)
	}
	state := func(chunks []byte) []byte { return append(make([]byte, 16), chunks...) }
	var many []byte
	for i := range uint32(5000) {
		many = chunk(many, 0x30001000, 4, le.AppendUint32(nil, i)...)
		many = chunk(many, 0x30005000, 144, make([]byte, 144)...)
	}
	overlapping := map[string]any{}
	for i := range 4000 {
		overlapping[fmt.Sprintf("savedstate/RamMemoryBlock%d", i)] = block(1<<28, 0, 0)
		overlapping[fmt.Sprintf("savedstate/RamBlock%d", i)] = filled(1)
	}
	for name, how := range map[string]struct {
		keys  map[string]any
		patch func(file []byte)
		want  []physmem.OddityKind
		cpus  int
	}{
		"objects without end":         {patch: func(b []byte) { le.PutUint32(b[0x2004:], 0xffffffff) }, want: []physmem.OddityKind{physmem.OddityTruncated}, cpus: 2},
		"objects that lead back":      {patch: func(b []byte) { le.PutUint32(b[0x2004:], 14); put(b, 13, 1, 0x2000) }, want: []physmem.OddityKind{physmem.OddityBadSegment}, cpus: 2},
		"objects that lead nowhere":   {patch: func(b []byte) { le.PutUint32(b[0x2004:], 14); put(b, 13, 1, 0x3000) }, want: []physmem.OddityKind{physmem.OddityBadSegment}, cpus: 2},
		"a table among the objects":   {patch: func(b []byte) { put(b, 12, 1, 0x3000) }, want: []physmem.OddityKind{physmem.OddityBadSegment}, cpus: 2},
		"a table of keys outside":     {patch: func(b []byte) { put(b, 12, 2, 1<<40) }, want: []physmem.OddityKind{physmem.OddityTruncated}, cpus: 2},
		"a table of keys that is not": {patch: func(b []byte) { put(b, 12, 2, 0x1000) }, want: []physmem.OddityKind{physmem.OddityBadSegment}, cpus: 2},
		"memory without end":          {keys: map[string]any{"savedstate/RamMemoryBlock1": block(1<<63, 0, 1)}, want: []physmem.OddityKind{physmem.OddityBadSegment}, cpus: 2},
		"memory outside":              {keys: map[string]any{"savedstate/RamMemoryBlock1": block(1<<20, 0, 1<<40)}, want: []physmem.OddityKind{physmem.OddityBadSegment}, cpus: 2},
		"memory without blocks":       {keys: map[string]any{"savedstate/RamMemoryBlock1": block(1<<30, 1<<33, 1<<30)}, want: []physmem.OddityKind{physmem.OddityBadSegment}, cpus: 2},
		"memory over and over":        {keys: overlapping, want: []physmem.OddityKind{physmem.OddityBadSegment, physmem.OddityLimit}, cpus: 2},
		"a block that is too long":    {keys: map[string]any{"savedstate/RamBlock1": make([]byte, 1<<20+1)}, want: []physmem.OddityKind{physmem.OddityBadSegment}, cpus: 2},
		"a chunk without end":         {keys: map[string]any{"savedstate/savedVM/partition_state": state(chunk(make([]byte, 16), 0x20000000, 0xffffffff))}, want: []physmem.OddityKind{physmem.OddityCPU}},
		"no last chunk":               {keys: map[string]any{"savedstate/savedVM/partition_state": state(chunk(make([]byte, 16), 0x20000000, 0))}, want: []physmem.OddityKind{physmem.OddityCPU}},
		"a processor without others":  {keys: map[string]any{"savedstate/savedVM/partition_state": state(chunk(chunk(make([]byte, 16), 0x30001000, 4, 7, 0, 0, 0), 0xf0000000, 0))}, want: []physmem.OddityKind{physmem.OddityCPU}},
		"too many processors":         {keys: map[string]any{"savedstate/savedVM/partition_state": state(append(make([]byte, 16), many...))}, want: []physmem.OddityKind{physmem.OddityLimit, physmem.OddityCPU}, cpus: 1 << 12},
		"names without end":           {keys: map[string]any{"savedstate/" + strings.Repeat("x", 200): int64(1), "savedstate/RamBlock99999999999999999999": []byte{1}, "savedstate/RamBlock007": []byte{1}}, cpus: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := coretest.HyperV{Pack: true, Keys: how.keys}.Write(t, im, cpus)
			if how.patch != nil {
				how.patch(file)
				setSums(file)
			}
			began := time.Now()
			m, err := physmemtest.Open(file)
			require.NoError(t, err)
			assert.Less(t, time.Since(began), 20*time.Second)
			for _, k := range how.want {
				assert.Contains(t, fixture.Kinds(m), k, "%v", m.Oddities())
			}
			assert.Len(t, m.CPUs(), how.cpus)
			fixture.CheckReads(t, m)
		})
	}
}

// put writes an entry of the first table of objects.
func put(file []byte, i int, typ byte, at uint64) {
	e := file[0x2008+18*i:]
	e[0] = typ
	binary.LittleEndian.PutUint64(e[5:], at)
	binary.LittleEndian.PutUint32(e[13:], 0x1000)
}

// TestChecksums: what has a wrong checksum is said to, wherever it is.
func TestChecksums(t *testing.T) {
	t.Parallel()
	im, mem, cpus := guest(t, physmem.Range{Size: 0x6000})
	file := coretest.HyperV{}.Write(t, im, cpus)
	object := 0 // the last one that is a table of keys
	for i := range 16 {
		if at := 0x2008 + 18*i; file[at] == 2 {
			object = at
		}
	}
	for name, at := range map[string]int{
		"the log":         int(binary.LittleEndian.Uint32(file[0x1000+26:])) + 20,
		"an object":       object + 17,
		"a key":           bytes.LastIndex(file, []byte("RamMemoryBlock0\x00")) - 2,
		"a table of keys": int(binary.LittleEndian.Uint32(file[object+5:])) + 4,
	} {
		b := bytes.Clone(file)
		b[at] ^= 0x40
		m, err := physmemtest.Open(b)
		if err != nil {
			require.Contains(t, strings.ToLower(err.Error()), "hyper-v", name)
			continue
		}
		assert.Greater(t, len(m.Oddities()), 1, name)
		require.NoError(t, physmemtest.Test(m, mem.Ranges(), mem.at), name)
	}
}
