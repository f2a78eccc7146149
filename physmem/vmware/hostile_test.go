package vmware_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

var le = binary.LittleEndian

// tags is a state of one group with such tags, without the null tag at its end.
func tags(group string, list []byte) []byte {
	b := le.AppendUint32(nil, 0xbed2bed2)
	b = le.AppendUint32(b, 8)
	b = le.AppendUint32(b, 1)
	name := make([]byte, 64)
	copy(name, group)
	b = append(b, name...)
	b = le.AppendUint64(b, 12+80)
	return append(le.AppendUint64(b, 0), list...)
}

// word is a tag with a number of 32 bits.
func word(name string, v uint32, index ...uint32) []byte {
	b := append([]byte{byte(len(index)<<6 | 4), byte(len(name))}, name...)
	for _, i := range index {
		b = le.AppendUint32(b, i)
	}
	return le.AppendUint32(b, v)
}

// block is a tag with a block that claims sizes.
func block(name string, kind byte, size, unpacked uint64, pad uint16, index ...uint32) []byte {
	b := append([]byte{byte(len(index)<<6) | kind, byte(len(name))}, name...)
	for _, i := range index {
		b = le.AppendUint32(b, i)
	}
	return le.AppendUint16(le.AppendUint64(le.AppendUint64(b, size), unpacked), pad)
}

// TestLies: numbers that claim too much.
func TestLies(t *testing.T) {
	t.Parallel()
	const all = ^uint64(0)
	join := func(list ...[]byte) []byte { return append(bytes.Join(list, nil), make([]byte, 0x3002)...) }
	region := func(i, ppn, pageNum, pages uint32) []byte {
		return bytes.Join([][]byte{word("regionPPN", ppn, i), word("regionPageNum", pageNum, i), word("regionSize", pages, i)}, nil)
	}
	memory := block("Memory", 0x3f, 0x3000, 0x3000, 0, 0, 0)
	many := tags("memory", nil)
	le.PutUint32(many[8:], 0x1001)
	far := tags("memory", nil)
	le.PutUint64(far[12+64:], all)
	for name, c := range map[string]struct {
		file []byte
		want string // an error
		odd  []physmem.OddityKind
		have []physmem.Range
	}{
		"more groups than are read":  {file: many, want: "number of groups at file offset 0x8: got 0x1001, want at most 0x1000"},
		"a group nowhere":            {file: far, want: "without its memory"},
		"an endless block of memory": {file: tags("memory", join(block("Memory", 0x3f, all, all, 0, 0, 0))), odd: []physmem.OddityKind{physmem.OddityTruncated, physmem.OddityTruncated}, have: []physmem.Range{{Size: 0x3002}}},
		"padding behind the end":     {file: tags("memory", block("Memory", 0x3f, 0x1000, 0x1000, 0xffff)), want: "without its memory"},
		"unpacked to something else": {file: tags("memory", join(block("Memory", 0x3f, 0x3000, 0x6000, 0))), want: "compressed memory"},
		"a region above all memory": {
			file: tags("memory", join(word("regionsCount", 2), region(0, 0, 0, 3), region(1, 0xffffffff, 0xffffffff, 0xffffffff), memory)),
			odd:  []physmem.OddityKind{physmem.OddityTruncated}, have: []physmem.Range{{Size: 0x3000}},
		},
		"a region without a size": {
			file: tags("memory", join(word("regionsCount", 2), region(0, 0, 0, 3), word("regionPPN", 9, 1), memory)),
			odd:  []physmem.OddityKind{physmem.OddityBadSegment}, have: []physmem.Range{{Size: 0x3000}},
		},
		"a region of no number": {
			file: tags("memory", join(region(0, 0, 0, 3), word("regionPPN", 9), memory)),
			odd:  []physmem.OddityKind{physmem.OddityBadSegment}, have: []physmem.Range{{Size: 0x3000}},
		},
		"a region of a high number": {
			file: tags("memory", join(region(0, 0, 0, 3), region(0xffffffff, 9, 0, 1), memory)),
			odd:  []physmem.OddityKind{physmem.OddityLimit, physmem.OddityLimit, physmem.OddityLimit}, have: []physmem.Range{{Size: 0x3000}},
		},
		"a region twice": {
			file: tags("memory", join(region(0, 0, 0, 3), word("regionPPN", 9, 0), memory)),
			odd:  []physmem.OddityKind{physmem.OddityNoteDuplicate}, have: []physmem.Range{{Size: 0x3000}},
		},
		"regions that overlap": {
			file: tags("memory", join(word("regionsCount", 2), region(0, 0, 0, 2), region(1, 1, 0, 3), memory)),
			odd:  []physmem.OddityKind{physmem.OddityConflict}, have: []physmem.Range{{Size: 0x4000}},
		},
		"none of the regions counted": {file: tags("memory", join(word("regionsCount", 2), memory)), want: "none describes memory"},
		"a wrong count":               {file: tags("memory", join(word("regionsCount", 7), region(0, 0, 0, 3), memory)), odd: []physmem.OddityKind{physmem.OddityCount}, have: []physmem.Range{{Size: 0x3000}}},
		"a second block":              {file: tags("memory", join(block("Memory", 0x3f, 0x1000, 0x1000, 0), make([]byte, 0x1000), block("Memory", 0x3f, 0x1000, 0x1000, 0))), odd: []physmem.OddityKind{physmem.OddityLimit}, have: []physmem.Range{{Size: 0x1000}}},
		"memory that is no block":     {file: tags("memory", join(word("Memory", 1))), want: "without its memory"},
		"an odd end of memory":        {file: tags("memory", join(block("Memory", 0x3f, 0x1234, 0x1234, 0))), odd: []physmem.OddityKind{}, have: []physmem.Range{{Size: 0x1234}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := folder{"x": bytes.NewReader(c.file)}.image(t.Context(), "x")
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				require.Nil(t, m)
				return
			}
			require.NoError(t, err)
			for _, k := range c.odd {
				assert.Contains(t, fixture.Kinds(m), k)
			}
			require.NoError(t, physmemtest.Test(m, c.have, nil))
		})
	}
}

// TestCPULies: what is wrong with the registers costs these and no memory.
func TestCPULies(t *testing.T) {
	t.Parallel()
	mem := append(block("Memory", 0x3f, 0x1000, 0x1000, 0), make([]byte, 0x1002)...)
	two := func(cpu []byte) []byte {
		b := tags("cpu", nil)
		le.PutUint32(b[8:], 2)
		b = append(b, b[12:92]...)
		le.PutUint64(b[12+64:], 172)
		copy(b[92:], "memory\x00")
		le.PutUint64(b[92+64:], uint64(172+len(cpu)+2))
		return append(append(append(b, cpu...), 0, 0), mem...)
	}
	for want, c := range map[string]struct {
		cpu  []byte
		cpus int
	}{
		"processor 4294967295 is one of more than the 1024 that are read": {word("rip", 1, 0xffffffff), 0},
		"processor 0 has no registers in the file":                        {word("eip", 1, 1), 1},
		"processor 0 has no rip; its registers are left out":              {word("eax", 1, 0), 0},
		"the state counts 3 processors, there are registers of 1":         {append(word("cpu:numVCPUs", 3), word("eip", 1, 0)...), 1},
		"rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi are not in the file":      {word("eip", 1, 0), 1},
		"gpregs of processor 0 is compressed, or too large":               {block("gpregs", 0x3e, 8, 128, 0, 0), 0},
		"is rsp and which rbp, nothing tells": {
			bytes.Join([][]byte{word("eip", 1, 0), block("gpregs", 0x3f, 128, 128, 0, 0), bytes.Repeat([]byte{3, 0, 0, 0, 0, 0, 0, 0}, 4), {0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0}, make([]byte, 80)}, nil), 1,
		},
	} {
		m, err := folder{"x": bytes.NewReader(two(c.cpu))}.image(t.Context(), "x")
		require.NoError(t, err)
		assert.Len(t, m.CPUs(), c.cpus, want)
		var texts []string
		for _, o := range m.Oddities() {
			texts = append(texts, o.Text)
		}
		assert.Contains(t, strings.Join(texts, "\n"), want)
		for _, cpu := range m.CPUs() {
			assert.False(t, physmem.X86Of(cpu).HasSystem)
			assert.Nil(t, physmem.X86Of(cpu).Debug)
		}
	}
}

// endless is a file of a TiB in which one tag stands again and again.
type endless struct{ head, tag []byte }

func (e endless) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(e.head)) {
		n = copy(p, e.head[off:])
	}
	for n < len(p) {
		n += copy(p[n:], e.tag[(off+int64(n)-int64(len(e.head)))%int64(len(e.tag)):])
	}
	return n, nil
}

// TestEndless: a file of nothing but tags ends by their count, and what is kept of it
// does not follow its size. It measures the memory of the whole process, and so runs
// alone.
func TestEndless(t *testing.T) {
	if testing.Short() {
		t.Skip("takes over a second")
	}
	for name, tag := range map[string][]byte{
		"regions": word("regionPPN", 1, 3), "further": word("x", 1), "processors": word("rip", 1, 1023),
	} {
		group := "memory"
		if name == "processors" {
			group = "cpu"
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, err := folder{"x": endless{tags(group, nil), tag}}.image(t.Context(), "x")
		runtime.GC()
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, physmem.ErrUnsupported, name)
		assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(64<<20), name)
	}
}

// FuzzVMware opens damaged states with their memory beside them and inside.
func FuzzVMware(f *testing.F) {
	small := physmem.Range{Size: 0x2000}
	var states, memories [][]byte
	for _, v := range []coretest.VMware{
		{Regions: []physmem.Range{small}, Embedded: true, Padding: 5},
		{Regions: []physmem.Range{{Start: 0x100000000, Size: 0x1000}, {Size: 0x1000}}},
		{Regions: []physmem.Range{small}, NoRegions: true, Blocks: true, Magic: 0xbed2bed0},
	} {
		state, memory := v.Write(f, guest(), cpus()[:1])
		states, memories = append(states, state), append(memories, memory)
	}
	for i := range states {
		f.Add([]byte{}, uint32(0), uint8(i), false)
		f.Add([]byte{0, 0, 0x4c, 9, 0, 1, 0x4a, 0xff}, uint32(0x123), uint8(i), true)
	}
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, which uint8, asMemory bool) {
		state, memory := states[int(which)%len(states)], memories[int(which)%len(states)]
		state = fixture.Patch(state[:len(state)-int(cut)%len(state)], patches)
		d, name := pair(state, memory), "win.vmss"
		if asMemory && memory != nil {
			name = "win.vmem"
		}
		m, err := d.image(t.Context(), name)
		if err != nil {
			require.Nil(t, m)
			return
		}
		if m.Format() != physmem.FormatVMware {
			return
		}
		require.LessOrEqual(t, len(m.CPUs()), 1024)
		require.Contains(t, fixture.Kinds(m), physmem.OddityUntried)
		for i, c := range m.CPUs() {
			require.Equal(t, i, c.Index)
			require.NotNil(t, physmem.X86Of(c))
			require.Equal(t, m.Machine(), c.Registers.Machine())
		}
		fixture.CheckReads(t, m)
		file := state
		if m.MemoryFile() != "" || name == "win.vmem" {
			file = memory
		}
		fixture.CheckImage(t, m, file)
	})
}
