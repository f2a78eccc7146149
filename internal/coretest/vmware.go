package coretest

import (
	"testing"

	"windmp/internal/testheap"
	"windmp/physmem"
)

// VMware is how VMware's hosts keep a guest: the choices that differ from product to
// product. The zero value is a snapshot with its memory beside it, in regions, with a tag
// for each register.
//
// Source of the layout: VMware's vmware_vmss.c and vmware_vmss.h in crash, and the
// listing of a file of ESX 4.1 in Volatility's documentation.
type VMware struct {
	// Magic is the first word, 0xbed2bed2 if it is 0. Of one that ends in 0 lengths of
	// blocks have 32 bits.
	Magic uint32
	// Embedded puts the memory into the state file, behind Padding bytes.
	Embedded bool
	Padding  int
	// Compressed marks the embedded memory as compressed.
	Compressed bool
	// NoRegions leaves the regions out.
	NoRegions bool
	// Blocks writes general, control and table registers in one block each, as newer
	// products do. RBPFirst has rbp before rsp in it.
	Blocks, RBPFirst bool
	// Narrow leaves out what only 64-bit processors have.
	Narrow bool
	// NoCPUs leaves out the group of the processors.
	NoCPUs bool
	// Platform is the kind of machine, 1 if it is 0.
	Platform uint32
	// StateOnly leaves the memory beside unwritten.
	StateOnly bool
	// Regions are the regions in the order of the file; those of [VMwareRegions] if
	// there are none.
	Regions []physmem.Range
}

// VMwareRegions are the regions that VMware would have for a guest: memory up to 3 GiB,
// and from 4 GiB on.
func VMwareRegions(m *physmem.Image) []physmem.Range {
	const low, high = 0xc0000000, 1 << 32
	var list []physmem.Range
	var end uint64
	for _, r := range m.Ranges() {
		if r.Start < low {
			end = min(r.End(), low)
		}
	}
	list = append(list, physmem.Range{Size: (end + 0xfff) &^ 0xfff})
	ranges := m.Ranges()
	if last := (ranges[len(ranges)-1].End() + 0xfff) &^ 0xfff; last > high {
		list = append(list, physmem.Range{Start: high, Size: last - high})
	}
	return list
}

// vmTag appends a tag with a value that stands in it.
func vmTag(b []byte, name string, value []byte, index ...uint32) []byte {
	b = append(b, byte(len(index)<<6|len(value)), byte(len(name)))
	b = append(b, name...)
	for _, i := range index {
		b = le.AppendUint32(b, i)
	}
	return append(b, value...)
}

// vmBlock appends a tag with a block. Of narrow ones the lengths have 32 bits.
func vmBlock(b []byte, narrow bool, kind byte, name string, pad int, value []byte, index ...uint32) []byte {
	b = append(b, byte(len(index)<<6)|kind, byte(len(name)))
	b = append(b, name...)
	for _, i := range index {
		b = le.AppendUint32(b, i)
	}
	inMemory := uint64(len(value))
	if kind == 0x3e {
		inMemory *= 2
	}
	if narrow {
		b = le.AppendUint32(b, uint32(len(value)))
		b = le.AppendUint32(b, uint32(inMemory))
	} else {
		b = le.AppendUint64(b, uint64(len(value)))
		b = le.AppendUint64(b, inMemory)
	}
	b = le.AppendUint16(b, uint16(pad))
	for range pad {
		b = append(b, 0xaa)
	}
	return append(b, value...)
}

func u32le(v uint64) []byte { return le.AppendUint32(nil, uint32(v)) }
func u64le(v uint64) []byte { return le.AppendUint64(nil, v) }

// Write returns the state file and the memory's, which is nil if it is embedded.
func (v VMware) Write(tb testing.TB, m *physmem.Image, cpus []physmem.CPU) (state, memory []byte) {
	tb.Helper()
	state, memory, err := v.files(m, cpus, func(n int) []byte { return testheap.Bytes(tb, n) })
	if err != nil {
		tb.Fatal(err)
	}
	return state, memory
}

// Files is [VMware.Write] for those that are no tests.
func (v VMware) Files(m *physmem.Image, cpus []physmem.CPU) (state, memory []byte, err error) {
	return v.files(m, cpus, func(n int) []byte { return make([]byte, n) })
}

// files makes the files; room is where the memory goes, of whatever content.
func (v VMware) files(m *physmem.Image, cpus []physmem.CPU, room func(n int) []byte) (state, memory []byte, err error) {
	if v.Magic == 0 {
		v.Magic = 0xbed2bed2
	}
	if v.Platform == 0 {
		v.Platform = 1
	}
	if len(v.Regions) == 0 {
		v.Regions = VMwareRegions(m)
	}
	var list []byte
	var size uint64
	if !v.StateOnly {
		memory = room(int(physmem.TotalSize(v.Regions)))[:0]
	}
	for i, r := range v.Regions {
		list = vmTag(list, "regionPPN", u32le(r.Start>>12), uint32(i))
		list = vmTag(list, "regionPageNum", u32le(size>>12), uint32(i))
		list = vmTag(list, "regionSize", u32le(r.Size>>12), uint32(i))
		size += r.Size
		if v.StateOnly {
			continue
		}
		memory = memory[:size]
		if err := vmPages(memory[size-r.Size:], m, r); err != nil {
			return nil, nil, err
		}
	}
	narrow := v.Magic&15 == 0
	groups := []vmGroup{
		{"Checkpoint", v.checkpoint(narrow, size)},
		{"GuestVars", vmBlock(vmTag(nil, "tools", []byte("on"), 1, 2, 3), narrow, 0x3e, "thumbnail", 3, make([]byte, 700))},
	}
	if !v.NoCPUs {
		groups = append(groups, vmGroup{"cpu", v.cpu(cpus)})
	}
	mem := vmTag(nil, "align_mask", u32le(0xfff))
	if !v.NoRegions {
		mem = append(vmTag(mem, "regionsCount", u32le(uint64(len(v.Regions)))), list...)
	} else {
		mem = vmTag(mem, "regionsCount", u32le(0))
	}
	if v.Embedded {
		kind := byte(0x3f)
		if v.Compressed {
			kind = 0x3e
		}
		mem = vmBlock(mem, narrow, kind, "Memory", v.Padding, memory, 0, 0)
		memory = nil
	}
	mem = vmTag(mem, "memoryHotAdd", []byte{0})
	return vmFile(v.Magic, append(groups, vmGroup{"memory", mem})), memory, nil
}

type vmGroup struct {
	name string
	tags []byte
}

// vmFile puts the groups together, each with its null tag.
func vmFile(magic uint32, groups []vmGroup) []byte {
	at := uint64(12 + 80*len(groups))
	size := int(at)
	for _, g := range groups {
		size += len(g.tags) + 2
	}
	out := le.AppendUint32(make([]byte, 0, size), magic)
	out = le.AppendUint32(out, 8)
	out = le.AppendUint32(out, uint32(len(groups)))
	for _, g := range groups {
		name := make([]byte, 64)
		copy(name, g.name)
		out = append(out, name...)
		out = le.AppendUint64(out, at)
		out = le.AppendUint64(out, 7) // no reader may rely on it
		at += uint64(len(g.tags)) + 2
	}
	for _, g := range groups {
		out = append(append(out, g.tags...), 0, 0)
	}
	return out
}

// vmPages reads a region's memory, zeros where the image has none, as of the video memory
// that VMware keeps RAM below.
func vmPages(b []byte, m *physmem.Image, r physmem.Range) error {
	at := r.Start
	for _, x := range physmem.Within(m.Ranges(), r) {
		clear(b[at-r.Start : x.Start-r.Start])
		at = x.End()
		if _, err := m.ReadAt(b[x.Start-r.Start:][:x.Size], int64(x.Start)); err != nil {
			return err
		}
	}
	clear(b[at-r.Start:])
	return nil
}

func (v VMware) checkpoint(narrow bool, size uint64) []byte {
	name, version := make([]byte, 0x100), make([]byte, 0x100)
	copy(name, "VMware ESX")
	copy(version, "4.1.0")
	b := vmTag(nil, "fileversion", u32le(10))
	b = vmBlock(b, narrow, 0x3f, "ProductName", 0, name)
	b = vmBlock(b, narrow, 0x3f, "VersionNumber", 0, version)
	b = vmTag(b, "Platform", u32le(uint64(v.Platform)))
	if size%(1<<20) == 0 {
		b = vmTag(b, "memSize", u32le(size>>20))
	}
	return b
}

// cpu writes the registers.
func (v VMware) cpu(cpus []physmem.CPU) []byte {
	b := vmTag(nil, "cpu:numVCPUs", u32le(uint64(len(cpus))))
	narrow := v.Magic&15 == 0
	for i := range cpus {
		c, n := physmem.X86Of(cpus[i]), uint32(i)
		b = vmTag(b, "eflags", u32le(c.Rflags), n)
		if !v.Narrow {
			b = vmTag(b, "rip", u64le(c.Rip), n)
		}
		b = vmTag(b, "eip", u32le(c.Rip), n)
		b = vmTag(b, "halted", []byte{0}, n)
		b = v.general(b, c, n, narrow)
		b = v.control(b, c, n, narrow)
		for k, s := range []physmem.Segment{c.ES, c.CS, c.SS, c.DS, c.FS, c.GS, c.LDT, c.TR} {
			rights := uint64(s.Flags >> 8 & 0xf0ff)
			if s.Flags == 0 {
				rights = 1 << 16
			}
			b = vmTag(b, "S", u32le(uint64(s.Selector)), n, uint32(k))
			b = vmTag(b, "S.limit", u32le(uint64(s.Limit)), n, uint32(k))
			b = vmTag(b, "S.ar", u32le(rights), n, uint32(k))
			b = vmTag(b, "S.base", u32le(s.Base), n, uint32(k))
			if !v.Narrow {
				b = vmTag(b, "S.base64", u64le(s.Base), n, uint32(k))
			}
		}
	}
	return b
}

func (v VMware) general(b []byte, c *physmem.X86, n uint32, narrow bool) []byte {
	values := []uint64{c.Rax, c.Rcx, c.Rdx, c.Rbx, c.Rsp, c.Rbp, c.Rsi, c.Rdi, c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15}
	if v.Blocks {
		if v.RBPFirst {
			values[4], values[5] = values[5], values[4]
		}
		var all []byte
		for _, x := range values {
			all = le.AppendUint64(all, x)
		}
		return vmBlock(b, narrow, 0x3f, "gpregs", 0, all, n)
	}
	wide := []string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}
	for k, x := range values {
		if !v.Narrow {
			b = vmTag(b, wide[k], u64le(x), n)
		}
		if k < 8 {
			b = vmTag(b, "e"+wide[k][1:], u32le(x), n)
		}
	}
	return b
}

func (v VMware) control(b []byte, c *physmem.X86, n uint32, narrow bool) []byte {
	cr := []uint64{c.CR0, 0, c.CR2, c.CR3, c.CR4, 0, 0, 0, 0}
	tables := map[string]physmem.Segment{"GDTR": c.GDT, "IDTR": c.IDT}
	if v.Blocks {
		var all []byte
		for _, x := range cr {
			all = le.AppendUint64(all, x)
		}
		b = vmBlock(b, narrow, 0x3f, "CR64", 2, all, n)
		for _, name := range []string{"GDTR", "IDTR"} {
			s := tables[name]
			value := le.AppendUint64(le.AppendUint16(nil, uint16(s.Limit)), s.Base)
			b = vmBlock(b, narrow, 0x3f, name, 1, value, n)
		}
	} else {
		for k, x := range cr[:5] {
			if !v.Narrow {
				b = vmTag(b, "CR64", u64le(x), n, uint32(k))
			}
			b = vmTag(b, "CR", u32le(x), n, uint32(k))
		}
		for _, name := range []string{"GDTR", "IDTR"} {
			s := tables[name]
			b = vmTag(b, name, le.AppendUint16(nil, uint16(s.Limit)), n, 0)
			b = vmTag(b, name, u32le(s.Base), n, 1)
			b = vmTag(b, name, u32le(s.Base>>32), n, 2)
		}
	}
	if d := c.Debug; d != nil {
		for k, x := range []uint64{d.Dr0, d.Dr1, d.Dr2, d.Dr3, 0, 0, d.Dr6, d.Dr7} {
			b = vmTag(b, "DR64", u64le(x), n, uint32(k))
			b = vmTag(b, "DR", u32le(x), n, uint32(k))
		}
	}
	return b
}
