package xen

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"windmp/internal/binio"
	"windmp/internal/elfcore"
	"windmp/physmem"
)

// Records of the state of a hardware virtual machine (Xen public headers
// arch-x86/hvm/save.h): type, instance, length, then the body.
const (
	stateEnd     = 0
	stateCPU     = 2
	stateMTRR    = 14
	stateHeader  = 8 // bytes
	patSize      = 8 // at the start of the MTRR record
	maxStateRecs = 1 << 20
)

// hvmCPU is struct hvm_hw_cpu up to where older versions of Xen end it.
type hvmCPU struct {
	FX                                            [physmem.FXSize]byte
	Rax, Rbx, Rcx, Rdx, Rbp, Rsi, Rdi, Rsp        uint64
	R8, R9, R10, R11, R12, R13, R14, R15          uint64
	Rip, Rflags                                   uint64
	CR0, CR2, CR3, CR4                            uint64
	Dr0, Dr1, Dr2, Dr3, Dr6, Dr7                  uint64
	Selectors                                     [8]uint32  // cs ds es fs gs ss tr ldtr
	Limits                                        [10]uint32 // the same, idtr, gdtr
	Bases                                         [10]uint64
	Rights                                        [8]uint32
	SysenterCS, SysenterESP, SysenterEIP          uint64
	ShadowGS                                      uint64
	_                                             uint64 // MSR flags, obsolete
	LSTAR, STAR, CSTAR, SFMASK, EFER, TSCAux, TSC uint64
	PendingEvent, ErrorCode                       uint32
}

const (
	hvmCPUSize = 0x400
	// hvmCPUFlags is where newer ones say whether the FPU was used.
	hvmCPUFlags  = 0x400
	hvmFPUInited = 1 << 0 // XEN_X86_FPU_INITIALISED
)

var (
	_ = [1]byte{}[unsafe.Sizeof(hvmCPU{})-hvmCPUSize]
	_ = [1]byte{}[unsafe.Offsetof(hvmCPU{}.Rip)-0x280]
	_ = [1]byte{}[unsafe.Offsetof(hvmCPU{}.Selectors)-0x2e0]
	_ = [1]byte{}[unsafe.Offsetof(hvmCPU{}.Bases)-0x328]
	_ = [1]byte{}[unsafe.Offsetof(hvmCPU{}.ShadowGS)-0x3b0]
	_ = [1]byte{}[unsafe.Offsetof(hvmCPU{}.EFER)-0x3e0]
)

// cpus reads the processors out of the state of the machine, size bytes at off of the
// file.
func (s *savedState) cpus(off, size uint64) ([]physmem.CPU, error) {
	v := vcpus{savedState: s, at: map[uint16]int{}, pat: map[uint16]uint64{}}
	le := binary.LittleEndian
	end := off + size
	for n := 0; end-off >= stateHeader; n++ {
		if n == maxStateRecs {
			s.odd.Add(physmem.OddityLimit, int64(off), "the machine's state has more than %d records", maxStateRecs) //nolint:gosec // inside the file
			break
		}
		h, err := s.window.at(off, stateHeader)
		if err != nil {
			return nil, err
		}
		typ, instance, length := le.Uint16(h), le.Uint16(h[2:]), uint64(le.Uint32(h[4:]))
		body := off + stateHeader
		if typ == stateEnd {
			break
		}
		if length > end-body {
			s.odd.Add(physmem.OddityCPU, int64(off), "a record of the machine's state has %d bytes, %d are there", length, end-body).Because("its type is 0x%x", typ) //nolint:gosec // inside the file
			break
		}
		switch typ {
		case stateCPU:
			err = v.addCPU(instance, body, length)
		case stateMTRR:
			err = v.addPAT(instance, body, length)
		}
		if err != nil {
			return nil, err
		}
		off = body + length
	}
	return v.joined(), nil
}

// vcpus are the processors while their records are read.
type vcpus struct {
	*savedState
	list []physmem.CPU
	at   map[uint16]int    // where in list, by the instance of the record
	pat  map[uint16]uint64 // IA32_PAT, by the same
}

// addCPU reads the record of a processor.
func (v *vcpus) addCPU(instance uint16, body, length uint64) error {
	if _, again := v.at[instance]; again || len(v.list) == elfcore.MaxCPUs {
		v.odd.Add(physmem.OddityCPU, int64(body-stateHeader), "vCPU %d is there again, or is one of more than %d: left out", instance, elfcore.MaxCPUs) //nolint:gosec // inside the file
		return nil
	}
	x, err := v.cpu(body, length)
	if x == nil {
		return err
	}
	v.at[instance] = len(v.list)
	v.list = append(v.list, physmem.CPU{Index: len(v.list), ID: uint32(instance), NoteOffset: int64(body), Registers: x}) //nolint:gosec // inside the file
	return nil
}

// addPAT reads the record of a processor's memory types.
func (v *vcpus) addPAT(instance uint16, body, length uint64) error {
	if length < patSize || len(v.pat) >= elfcore.MaxCPUs {
		return nil
	}
	b, err := v.window.at(body, patSize)
	if err != nil {
		return err
	}
	v.pat[instance] = binary.LittleEndian.Uint64(b)
	return nil
}

// joined are the processors with what stands in other records of them.
func (v *vcpus) joined() []physmem.CPU {
	wide := false
	for i := range v.list {
		x := physmem.X86Of(v.list[i])
		x.MSR.PAT = v.pat[uint16(v.list[i].ID)] //nolint:gosec // it was one
		wide = wide || x.MSR.EFER&physmem.EFERLMA != 0
	}
	if !wide {
		as32(v.list)
	}
	return v.list
}

// cpu decodes one processor, nil if it is of a layout that is not known.
func (s *savedState) cpu(body, length uint64) (*physmem.X86, error) {
	if length < hvmCPUSize {
		s.odd.Add(physmem.OddityCPU, int64(body), "a vCPU's record has %d bytes, not %d or more: left out", length, hvmCPUSize) //nolint:gosec // inside the file
		return nil, nil
	}
	const flags = 4
	b, err := s.window.at(body, int(min(length, hvmCPUFlags+flags)))
	if err != nil {
		return nil, err
	}
	var v hvmCPU
	// It can only refuse a short buffer, and this one has the size.
	_, _ = binary.Decode(b, binary.LittleEndian, &v)
	x := v.registers()
	if len(b) >= hvmCPUFlags+flags && binary.LittleEndian.Uint32(b[hvmCPUFlags:])&hvmFPUInited == 0 || binio.IsZero(v.FX[:]) {
		x.FX = nil // the guest has not used it
	}
	return x, nil
}

// registers returns what the record says.
func (v *hvmCPU) registers() *physmem.X86 {
	segment := func(i int) physmem.Segment {
		return physmem.Segment{
			Selector: uint16(v.Selectors[i] & 0xffff), Limit: v.Limits[i], Base: v.Bases[i], Flags: flagsOf(v.Rights[i]),
		}
	}
	table := func(i int) physmem.Segment { return physmem.Segment{Limit: v.Limits[i], Base: v.Bases[i]} }
	return &physmem.X86{
		Rax: v.Rax, Rbx: v.Rbx, Rcx: v.Rcx, Rdx: v.Rdx, Rsi: v.Rsi, Rdi: v.Rdi, Rsp: v.Rsp, Rbp: v.Rbp,
		R8: v.R8, R9: v.R9, R10: v.R10, R11: v.R11, R12: v.R12, R13: v.R13, R14: v.R14, R15: v.R15,
		Rip: v.Rip, Rflags: v.Rflags,
		CS: segment(0), DS: segment(1), ES: segment(2), FS: segment(3), GS: segment(4), SS: segment(5), TR: segment(6), LDT: segment(7),
		IDT: table(8), GDT: table(9),
		HasSystem: true, CR0: v.CR0, CR2: v.CR2, CR3: v.CR3, CR4: v.CR4,
		KernelGSBase: v.ShadowGS, HasKernelGSBase: true,
		Debug: &physmem.DebugRegs{Dr0: v.Dr0, Dr1: v.Dr1, Dr2: v.Dr2, Dr3: v.Dr3, Dr6: v.Dr6, Dr7: v.Dr7},
		MSR:   &physmem.MSRs{EFER: v.EFER, STAR: v.STAR, LSTAR: v.LSTAR, CSTAR: v.CSTAR, SFMASK: v.SFMASK},
		FX:    bytes.Clone(v.FX[:]),
	}
}

// flagsOf returns access rights as Xen has them, the descriptor's bits 8-15 and 20-23 in
// 12 bits, where QEMU has them, which keeps none of a segment that is not present.
func flagsOf(rights uint32) uint32 {
	const present, low, high = 1 << 7, 0xff, 0xf00
	if rights&present == 0 {
		return 0
	}
	return rights&low<<8 | rights&high<<12
}
