package guestsim

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"slices"

	"windmp/internal/elfbuild"
)

// ELF wraps the guest as QEMU's dump-guest-memory does (measured with 7.2).
func (g *Guest) ELF() []byte {
	f := g.Options.File
	held := g.held()
	c := elfbuild.Core{
		Notes: [][]byte{g.notes()}, Loads: identity(held),
		QEMU: true, NotesLast: f.NotesLast, XNum: f.PNXNUM,
	}
	if f.Paging {
		c.Loads = g.mappedLoads()
	}
	for i := range c.Loads {
		c.Loads[i].At = fileOffset(held, c.Loads[i].PA)
	}
	for _, r := range held {
		c.Memory = g.mem.appendParts(c.Memory, r)
	}
	if f.EhdrSize != 0 {
		c.Mutate = func(h *elf.Header64) { h.Ehsize = f.EhdrSize }
	}
	return c.Build()
}

// held is the memory that the file holds: RAM, cut to the filter.
func (g *Guest) held() []Range {
	f := g.Options.File
	if f.Length == 0 {
		return g.mem.blocks
	}
	var out []Range
	for _, r := range g.mem.blocks {
		start, end := max(r.Start, f.Begin), min(r.End(), f.Begin+f.Length)
		if start < end {
			out = append(out, Range{start, end - start})
		}
	}
	return out
}

// identity is QEMU's list with paging off.
func identity(held []Range) []elfbuild.Load {
	out := make([]elfbuild.Load, 0, len(held))
	for _, r := range held {
		out = append(out, elfbuild.Load{VA: r.Start, PA: r.Start, FileSize: r.Size, MemSize: r.Size})
	}
	return out
}

// mappedLoads is QEMU's list with paging on: the mappings of the vCPUs' current
// CR3, neighbours joined, cut where their RAM block ends. Leaf entries with
// Windows' software bits set look like I/O to QEMU and are left out.
func (g *Guest) mappedLoads() []elfbuild.Load {
	t := g.tables
	if g.Options.Shadow {
		t = g.shadow
	}
	maps := slices.Clone(t.maps)
	if g.Options.SoftwareBits {
		maps = g.selfMapped()
	}
	slices.SortFunc(maps, func(a, b mapping) int { return cmp.Compare(a.VA, b.VA) })
	var joined []mapping
	for _, m := range maps {
		if n := len(joined) - 1; n >= 0 && joined[n].VA+joined[n].Size == m.VA && joined[n].PA+joined[n].Size == m.PA {
			joined[n].Size += m.Size
			continue
		}
		joined = append(joined, m)
	}
	slices.SortStableFunc(joined, func(a, b mapping) int { return cmp.Compare(a.PA, b.PA) })
	var out []elfbuild.Load
	for _, m := range joined {
		for _, r := range g.held() {
			start := max(m.PA, r.Start)
			if start >= min(m.PA+m.Size, r.End()) || !r.contains(m.PA) && g.Options.File.Length == 0 {
				continue
			}
			out = append(out, elfbuild.Load{
				VA: m.VA + start - m.PA, PA: start,
				FileSize: min(m.PA+m.Size, r.End()) - start, MemSize: m.Size - (start - m.PA),
			})
		}
	}
	return out
}

// selfMapped are the page tables as their self-map shows them: entries above
// the leaves carry no software bits.
func (g *Guest) selfMapped() []mapping {
	if g.Options.NoSelfMap || g.Options.LA57 {
		return nil
	}
	self := 0xffff000000000000 | g.selfMapIndex()<<39
	maps := []mapping{{self | g.selfMapIndex()<<30 | g.selfMapIndex()<<21 | g.selfMapIndex()<<12, g.DTB, pageSize}}
	for i := range uint64(512) {
		if e := g.tables.entry(g.DTB + i*8); e&1 != 0 && i != g.selfMapIndex() {
			maps = append(maps, mapping{self | g.selfMapIndex()<<30 | g.selfMapIndex()<<21 | i<<12, e & pteAddr, pageSize})
		}
	}
	return maps
}

// fileOffset is pa's place in the memory part of the file.
func fileOffset(held []Range, pa uint64) uint64 {
	var off uint64
	for _, r := range held {
		if r.contains(pa) {
			return off + pa - r.Start
		}
		off += r.Size
	}
	panic("guestsim: a PT_LOAD of memory that the file does not hold")
}

// notes are N CORE notes, N QEMU notes and VMCOREINFO, 4-byte aligned.
func (g *Guest) notes() []byte {
	var b []byte
	f := g.Options.File
	if !f.NoCPUNotes {
		for i, v := range g.VCPUs {
			b = appendNote(b, "CORE", 1, v.prstatus(i))
		}
		for _, v := range g.VCPUs {
			state := v.cpuState()
			if f.NoKernelGSBase {
				state = state[:432]
				binary.LittleEndian.PutUint32(state[4:], 432)
			}
			b = appendNote(b, "QEMU", 0, state)
		}
	}
	if !f.NoGuestNote {
		desc := g.header
		if n := f.GuestNoteSize; n != 0 {
			desc = append(slices.Clone(g.header), make([]byte, max(0, n-HeaderSize))...)[:n]
		}
		b = appendNote(b, "VMCOREINFO", 0, desc)
	}
	return b
}

func appendNote(b []byte, name string, typ uint32, desc []byte) []byte {
	pad := func(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)+1))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))
	b = binary.LittleEndian.AppendUint32(b, typ)
	b = pad(append(append(b, name...), 0))
	return pad(append(b, desc...))
}

// prstatus is the desc of a CORE note: elf_prstatus of x86-64, 336 bytes.
func (v VCPU) prstatus(i int) []byte {
	b := make([]byte, 336)
	binary.LittleEndian.PutUint32(b[32:], uint32(i+1))
	for k, x := range []uint64{
		v.R15, v.R14, v.R13, v.R12, v.Rbp, v.Rbx, v.R11, v.R10, v.R9, v.R8, v.Rax, v.Rcx, v.Rdx, v.Rsi, v.Rdi,
		0, v.Rip, uint64(v.CS.Selector), v.Rflags, v.Rsp, uint64(v.SS.Selector), v.FS.Base, v.GS.Base,
		uint64(v.DS.Selector), uint64(v.ES.Selector), uint64(v.FS.Selector), uint64(v.GS.Selector),
	} {
		binary.LittleEndian.PutUint64(b[112+8*k:], x)
	}
	return b
}

// cpuState is the desc of a QEMU note: QEMUCPUState of QEMU's
// target/i386/arch_dump.c, 440 bytes.
func (v VCPU) cpuState() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 1)
	b = binary.LittleEndian.AppendUint32(b, 440)
	put := func(vs ...uint64) {
		for _, x := range vs {
			b = binary.LittleEndian.AppendUint64(b, x)
		}
	}
	put(v.Rax, v.Rbx, v.Rcx, v.Rdx, v.Rsi, v.Rdi, v.Rsp, v.Rbp, v.R8, v.R9, v.R10, v.R11, v.R12, v.R13, v.R14, v.R15, v.Rip, v.Rflags)
	for _, s := range []Segment{v.CS, v.DS, v.ES, v.FS, v.GS, v.SS, v.LDT, v.TR, v.GDT, v.IDT} {
		for _, x := range []uint32{s.Selector, s.Limit, s.Flags, 0} {
			b = binary.LittleEndian.AppendUint32(b, x)
		}
		put(s.Base)
	}
	put(v.CR0, v.CR1, v.CR2, v.CR3, v.CR4, v.KernelGSBase)
	return b
}
