package vmcore

import (
	"encoding/binary"
	"fmt"
	"slices"

	"windmp/internal/elfcore"
	"windmp/physmem"
)

// Notes that say what they hold of a processor.
type (
	prstatus   elfcore.Prstatus64
	prstatus32 elfcore.Prstatus32
	qemuCPU    elfcore.CPU
)

// coreState is a CORE note of either kind.
type coreState interface {
	// fill sets what the note says of a processor.
	fill(c *physmem.CPU, x *physmem.X86)
}

// decodeCore decodes the payload of a CORE NT_PRSTATUS note.
func decodeCore(desc []byte, is32 bool) (coreState, error) {
	var state coreState = new(prstatus)
	size := elfcore.Prstatus64Size
	if is32 {
		state, size = new(prstatus32), elfcore.Prstatus32Size
	}
	if len(desc) != size {
		return nil, fmt.Errorf("CORE note of 0x%x bytes, want 0x%x", len(desc), size)
	}
	_, err := binary.Decode(desc, binary.LittleEndian, state)
	return state, err
}

// decodeQEMU decodes the payload of a QEMU note. What later versions may
// append is ignored; what earlier ones lack is zero.
func decodeQEMU(desc []byte) (*qemuCPU, error) {
	if len(desc) < elfcore.CPUSizeOld {
		return nil, fmt.Errorf("QEMU note of 0x%x bytes, want 0x%x or 0x%x", len(desc), elfcore.CPUSizeOld, elfcore.CPUSize)
	}
	b := make([]byte, elfcore.CPUSize)
	if len(desc) >= elfcore.CPUSize {
		copy(b, desc)
	} else {
		copy(b, desc[:elfcore.CPUSizeOld])
	}
	q := new(qemuCPU)
	if _, err := binary.Decode(b, binary.LittleEndian, q); err != nil {
		return nil, err
	}
	if q.Version != elfcore.CPUVersion {
		return nil, fmt.Errorf("QEMU note of version 0x%x, want 0x%x", q.Version, elfcore.CPUVersion)
	}
	return q, nil
}

// decodeCPUs decodes the processors: the i-th CORE note belongs to the i-th
// QEMU note, as QEMU writes both in the order of its CPU list.
func (t *noteTable) decodeCPUs(is32 bool, odd *physmem.Oddities) []physmem.CPU {
	if len(t.prstatus) != len(t.qemu) && len(t.qemu) > 0 {
		odd.Add(physmem.OddityCPU, 0, "%d CORE notes and %d QEMU notes; matched in order", len(t.prstatus), len(t.qemu))
	}
	var cpus []physmem.CPU
	for i := range max(len(t.prstatus), len(t.qemu)) {
		var core coreState
		var qemu *qemuCPU
		var err error
		c, x := physmem.CPU{Index: i, ID: uint32(i)}, physmem.X86{Is32: is32}
		if i < len(t.prstatus) {
			if core, err = decodeCore(t.prstatus[i].Desc, is32); err != nil {
				odd.Add(physmem.OddityNoteSkipped, t.prstatus[i].Offset, "processor %d: its CORE note can't be used", i).Because("%v", err)
			}
		}
		if i < len(t.qemu) {
			if qemu, err = decodeQEMU(t.qemu[i].Desc); err != nil {
				odd.Add(physmem.OddityNoteSkipped, t.qemu[i].Offset, "processor %d: its QEMU note can't be used", i).Because("%v", err)
			}
		}
		if core == nil && qemu == nil {
			continue
		}
		if core != nil {
			core.fill(&c, &x)
			if t.isCloud() {
				c.ID = uint32(i)
			}
			c.NoteOffset = t.prstatus[i].Offset
		}
		if qemu != nil {
			byCore := x
			qemu.fill(&x)
			x.HasKernelGSBase = len(t.qemu[i].Desc) >= elfcore.CPUSize
			c.NoteOffset = t.qemu[i].Offset
			if core != nil {
				compareCPU(&c, &x, &byCore, odd)
			}
		}
		c.Registers = &x
		cpus = append(cpus, c)
	}
	return cpus
}

// fill sets what the note says of a processor.
func (p *prstatus) fill(c *physmem.CPU, x *physmem.X86) {
	if p.PID > 0 {
		c.ID = p.PID - 1
	}
	x.Rax, x.Rbx, x.Rcx, x.Rdx = p.Rax, p.Rbx, p.Rcx, p.Rdx
	x.Rsi, x.Rdi, x.Rsp, x.Rbp = p.Rsi, p.Rdi, p.Rsp, p.Rbp
	x.R8, x.R9, x.R10, x.R11 = p.R8, p.R9, p.R10, p.R11
	x.R12, x.R13, x.R14, x.R15 = p.R12, p.R13, p.R14, p.R15
	x.Rip, x.Rflags = p.Rip, p.Rflags
	x.CS.Selector, x.SS.Selector = selector(p.CS), selector(p.SS)
	x.DS.Selector, x.ES.Selector = selector(p.DS), selector(p.ES)
	x.FS = physmem.Segment{Selector: selector(p.FS), Base: p.FSBase}
	x.GS = physmem.Segment{Selector: selector(p.GS), Base: p.GSBase}
}

// fill sets what the note says of a processor: not the bases of FS and GS.
func (p *prstatus32) fill(c *physmem.CPU, x *physmem.X86) {
	if p.PID > 0 {
		c.ID = p.PID - 1
	}
	x.Rax, x.Rbx, x.Rcx, x.Rdx = uint64(p.Eax), uint64(p.Ebx), uint64(p.Ecx), uint64(p.Edx)
	x.Rsi, x.Rdi, x.Rsp, x.Rbp = uint64(p.Esi), uint64(p.Edi), uint64(p.Esp), uint64(p.Ebp)
	x.Rip, x.Rflags = uint64(p.Eip), uint64(p.Eflags)
	x.CS.Selector, x.SS.Selector = selector(uint64(p.CS)), selector(uint64(p.SS))
	x.DS.Selector, x.ES.Selector = selector(uint64(p.DS)), selector(uint64(p.ES))
	x.FS.Selector, x.GS.Selector = selector(uint64(p.FS)), selector(uint64(p.GS))
}

// selector returns a selector from a field that is wider than one.
func selector(v uint64) uint16 { return uint16(v) } //nolint:gosec // a selector is 16 bits

// fill sets what the note says of a processor.
func (q *qemuCPU) fill(x *physmem.X86) {
	x.HasSystem = true
	x.Rax, x.Rbx, x.Rcx, x.Rdx = q.Rax, q.Rbx, q.Rcx, q.Rdx
	x.Rsi, x.Rdi, x.Rsp, x.Rbp = q.Rsi, q.Rdi, q.Rsp, q.Rbp
	x.R8, x.R9, x.R10, x.R11 = q.R8, q.R9, q.R10, q.R11
	x.R12, x.R13, x.R14, x.R15 = q.R12, q.R13, q.R14, q.R15
	x.Rip, x.Rflags = q.Rip, q.Rflags
	x.CS, x.DS, x.ES = qemuSegment(q.CS), qemuSegment(q.DS), qemuSegment(q.ES)
	x.FS, x.GS, x.SS = qemuSegment(q.FS), qemuSegment(q.GS), qemuSegment(q.SS)
	x.LDT, x.TR = qemuSegment(q.LDT), qemuSegment(q.TR)
	x.GDT, x.IDT = qemuSegment(q.GDT), qemuSegment(q.IDT)
	x.CR0, x.CR2, x.CR3, x.CR4 = q.CR[0], q.CR[2], q.CR[3], q.CR[4]
	x.KernelGSBase = q.KernelGSBase
}

// qemuSegment is a segment register of a QEMU note.
func qemuSegment(s elfcore.Segment) physmem.Segment {
	return physmem.Segment{Selector: selector(uint64(s.Selector)), Limit: s.Limit, Flags: s.Flags, Base: s.Base}
}

// compareCPU notes where the two notes of a processor disagree, which the same
// QEMU never lets them.
func compareCPU(c *physmem.CPU, qemu, core *physmem.X86, odd *physmem.Oddities) {
	if core.Is32 { // its note has no such registers
		core.R8, core.R9, core.R10, core.R11 = qemu.R8, qemu.R9, qemu.R10, qemu.R11
		core.R12, core.R13, core.R14, core.R15 = qemu.R12, qemu.R13, qemu.R14, qemu.R15
		core.FS.Base, core.GS.Base = qemu.FS.Base, qemu.GS.Base
	}
	type reg struct {
		name       string
		qemu, core uint64
	}
	regs := []reg{
		{"rax", qemu.Rax, core.Rax},
		{"rbx", qemu.Rbx, core.Rbx},
		{"rcx", qemu.Rcx, core.Rcx},
		{"rdx", qemu.Rdx, core.Rdx},
		{"rsi", qemu.Rsi, core.Rsi},
		{"rdi", qemu.Rdi, core.Rdi},
		{"rsp", qemu.Rsp, core.Rsp},
		{"rbp", qemu.Rbp, core.Rbp},
		{"r8", qemu.R8, core.R8},
		{"r9", qemu.R9, core.R9},
		{"r10", qemu.R10, core.R10},
		{"r11", qemu.R11, core.R11},
		{"r12", qemu.R12, core.R12},
		{"r13", qemu.R13, core.R13},
		{"r14", qemu.R14, core.R14},
		{"r15", qemu.R15, core.R15},
		{"rip", qemu.Rip, core.Rip},
		{"rflags", qemu.Rflags, core.Rflags},
		{"cs", uint64(qemu.CS.Selector), uint64(core.CS.Selector)},
		{"ss", uint64(qemu.SS.Selector), uint64(core.SS.Selector)},
		{"ds", uint64(qemu.DS.Selector), uint64(core.DS.Selector)},
		{"es", uint64(qemu.ES.Selector), uint64(core.ES.Selector)},
		{"fs", uint64(qemu.FS.Selector), uint64(core.FS.Selector)},
		{"gs", uint64(qemu.GS.Selector), uint64(core.GS.Selector)},
		{"fs base", qemu.FS.Base, core.FS.Base},
		{"gs base", qemu.GS.Base, core.GS.Base},
	}
	i := slices.IndexFunc(regs, func(r reg) bool { return r.qemu != r.core })
	if i >= 0 {
		odd.Add(physmem.OddityCPU, c.NoteOffset,
			"processor %d: its notes disagree on %s; QEMU's is used", c.Index, regs[i].name).Because("0x%x in QEMU's and 0x%x in CORE's",
			regs[i].qemu, regs[i].core)
	}
}
