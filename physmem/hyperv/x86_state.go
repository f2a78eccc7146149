package hyperv

import (
	"encoding/binary"
	"fmt"

	"windmp/physmem"
)

// Chunks of an x86 processor (save_restore.rs; that of the MSRs by P. Beyer's snapshot
// tool, vmrs.c, alone).
const (
	chunkGeneral = 0x30005000
	chunkFloat   = 0x30006000
	chunkControl = 0x30007000
	chunkDebug   = 0x30008000
	chunkSegment = 0x30009000
	chunkTables  = 0x3000a000
	chunkMSRs    = 0x3000b000
	chunkMTRRs   = 0x3000c000 // the first of it is IA32_PAT
)

// wanted reports whether a chunk is decoded.
func wanted(id uint32) bool {
	switch id {
	case chunkGeneral, chunkFloat, chunkControl, chunkDebug, chunkSegment, chunkTables, chunkMSRs, chunkMTRRs:
		return true
	}
	return false
}

// generalChunk is VpX64SaveChunkGpRegisters.
type generalChunk struct {
	Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	Rip, Rflags                            uint64
}

// floatChunk is VpX64SaveChunkFpRegisters: parts of what FXSAVE64 stores.
type floatChunk struct {
	XMM [16 * 16]byte
	ST  [8 * 16]byte
	FCW [16]byte // bytes 0 to 15
	MX  [16]byte // bytes 16 to 31, with MXCSR
}

// controlChunk is SynicX64SaveChunkControlRegisters.
type controlChunk struct {
	CR0, CR2, CR3, CR4, CR8, EFER uint64
}

// debugChunk is VpX64SaveChunkDebugRegisters.
type debugChunk struct {
	Dr0, Dr1, Dr2, Dr3, Dr6, Dr7 uint64
}

// segment is HvX64SegmentRegister. Attributes are VT-x' (Intel SDM volume 3, table
// 25-2): bits 8 to 23 of a descriptor's second doubleword.
type segment struct {
	Base       uint64
	Limit      uint32
	Selector   uint16
	Attributes uint16
}

// segmentChunk is VpX64SaveChunkSegmentRegisters.
type segmentChunk struct {
	ES, CS, SS, DS, FS, GS, LDT, TR segment
	CPL                             uint8
	_                               [15]byte
}

// table is HvX64TableRegister.
type table struct {
	_     [6]byte
	Limit uint16
	Base  uint64
}

// tablesChunk is VpX64SaveChunkTableRegisters.
type tablesChunk struct{ IDT, GDT table }

// msrChunk are the MSRs. Those without a name are unknown, or not sure.
type msrChunk struct {
	_, KernelGSBase, APICBase uint64
	_                         [4]uint64
	STAR, LSTAR, CSTAR, FMASK uint64
	_                         uint64
}

// part decodes a chunk of a processor, false if it is not there.
func (v *vp) part(id uint32, to any) (bool, error) {
	b := v.chunkOf(id)
	if b == nil {
		return false, nil
	}
	if want := binary.Size(to); len(b) != want {
		return false, fmt.Errorf("chunk 0x%08x of 0x%x bytes, want 0x%x", id, len(b), want)
	}
	_, err := binary.Decode(b, binary.LittleEndian, to)
	return err == nil, err
}

// registers returns what the chunks say, and what was wrong with them; nothing without
// those that say where the processor was.
func (v *vp) registers() (physmem.Registers, []string) {
	var (
		problems []string
		general  generalChunk
		control  controlChunk
		segments segmentChunk
		tables   tablesChunk
		debug    debugChunk
	)
	take := func(id uint32, to any) bool {
		ok, err := v.part(id, to)
		if err != nil {
			problems = append(problems, err.Error())
		}
		return ok
	}
	if !take(chunkGeneral, &general) {
		what := "it has no general registers"
		if v.others {
			what += " of VTL 0, only of others"
		}
		return nil, append(problems, what)
	}
	x := general.registers()
	hasControl, hasSegments, hasTables := take(chunkControl, &control), take(chunkSegment, &segments), take(chunkTables, &tables)
	if hasSegments {
		segments.fill(x)
	}
	if hasControl {
		x.Is32 = control.EFER&physmem.EFERLMA == 0
	}
	if x.HasSystem = hasControl && hasSegments && hasTables; x.HasSystem {
		x.CR0, x.CR2, x.CR3, x.CR4 = control.CR0, control.CR2, control.CR3, control.CR4
		x.GDT, x.IDT = tables.GDT.segment(), tables.IDT.segment()
	} else {
		problems = append(problems, "its control, segment or table registers are missing")
	}
	if take(chunkDebug, &debug) {
		x.Debug = &physmem.DebugRegs{Dr0: debug.Dr0, Dr1: debug.Dr1, Dr2: debug.Dr2, Dr3: debug.Dr3, Dr6: debug.Dr6, Dr7: debug.Dr7}
	}
	var float floatChunk
	if take(chunkFloat, &float) {
		x.FX = float.image()
	}
	var msrs msrChunk
	if hasControl && take(chunkMSRs, &msrs) {
		if why := msrs.fill(x, control.EFER, v.chunkOf(chunkMTRRs)); why != "" {
			problems = append(problems, why)
		}
	}
	return x, problems
}

func (g *generalChunk) registers() *physmem.X86 {
	return &physmem.X86{
		Rax: g.Rax, Rbx: g.Rbx, Rcx: g.Rcx, Rdx: g.Rdx, Rsi: g.Rsi, Rdi: g.Rdi, Rsp: g.Rsp, Rbp: g.Rbp,
		R8: g.R8, R9: g.R9, R10: g.R10, R11: g.R11, R12: g.R12, R13: g.R13, R14: g.R14, R15: g.R15,
		Rip: g.Rip, Rflags: g.Rflags,
	}
}

func (s *segmentChunk) fill(x *physmem.X86) {
	x.CS, x.DS, x.ES, x.FS = s.CS.segment(), s.DS.segment(), s.ES.segment(), s.FS.segment()
	x.GS, x.SS, x.LDT, x.TR = s.GS.segment(), s.SS.segment(), s.LDT.segment(), s.TR.segment()
}

func (s segment) segment() physmem.Segment {
	const known = 0xf0ff // without what a descriptor has of its limit there
	return physmem.Segment{Selector: s.Selector, Limit: s.Limit, Flags: uint32(s.Attributes&known) << 8, Base: s.Base}
}

func (t table) segment() physmem.Segment {
	return physmem.Segment{Limit: uint32(t.Limit), Base: t.Base}
}

// image puts the parts where FXSAVE64 has them (Intel SDM volume 1, section 10.5.1);
// nil if all are zeros: then nothing was saved, as MXCSR is 0 in no Windows.
func (f *floatChunk) image() []byte {
	if *f == (floatChunk{}) {
		return nil
	}
	fx := make([]byte, 0, physmem.FXSize)
	for _, part := range [][]byte{f.FCW[:], f.MX[:], f.ST[:], f.XMM[:]} {
		fx = append(fx, part...)
	}
	return fx[:physmem.FXSize]
}

// fill sets the MSRs. What their places are has one source, so they are taken only where
// the entry of system calls is an address that a processor takes.
func (m *msrChunk) fill(x *physmem.X86, efer uint64, mtrrs []byte) (why string) {
	if !canonical(m.LSTAR) || !canonical(m.CSTAR) || !canonical(m.KernelGSBase) {
		return fmt.Sprintf("its MSRs make no sense (IA32_LSTAR 0x%x, IA32_KERNEL_GS_BASE 0x%x) and are left out", m.LSTAR, m.KernelGSBase)
	}
	x.KernelGSBase, x.HasKernelGSBase = m.KernelGSBase, true
	x.MSR = &physmem.MSRs{EFER: efer, STAR: m.STAR, LSTAR: m.LSTAR, CSTAR: m.CSTAR, SFMASK: m.FMASK}
	const pat = 8
	if len(mtrrs) >= pat {
		x.MSR.PAT = binary.LittleEndian.Uint64(mtrrs)
	}
	return ""
}

// canonical reports whether all bits of an address from bit 56 on are the same, as even
// 5-level paging wants it (Intel SDM volume 1, section 3.3.7.1).
func canonical(va uint64) bool {
	const shift = 64 - 57
	return uint64(int64(va<<shift)>>shift) == va //nolint:gosec // the sign is what counts
}
