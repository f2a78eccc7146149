package kdbg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"windmp/vtop"
)

// Registers are the addresses of the kernel that a vCPU's registers hold; 0 for those
// that are not known.
type Registers struct {
	// PCR is the segment base through which the kernel reaches its KPCR, by what the
	// registers say. Alternates may be it instead: a vCPU may have stopped between
	// the instructions that exchange them.
	PCR        vtop.VA
	Alternates []vtop.VA
	// IDT and GDT are the bases of the descriptor tables, TSS is that of the task
	// state segment, SystemCall is where a system call enters, IP is the instruction
	// pointer.
	IDT, GDT, TSS, SystemCall, IP vtop.VA
}

// PCR returns the KPCR of the processor that a vCPU with the registers r runs: the
// segment base, or, where that is none, what the segment's descriptor says. It is not
// known to be one, see [Memory.CheckPCR].
func (m Memory) PCR(r Registers) vtop.VA {
	if m.Layout.Processor.PCRSelector == 0 || m.CheckPCR(r.PCR) == nil {
		return r.PCR
	}
	if pcr, err := m.describedPCR(r.GDT); err == nil {
		return pcr
	}
	return r.PCR
}

// describedPCR is the KPCR that the descriptor table at gdt leads to: what the kernel
// loads its segment register with, also while user mode runs. Errors are those of
// CheckPCR, too.
func (m Memory) describedPCR(gdt vtop.VA) (vtop.VA, error) {
	s, err := m.descriptor(gdt, m.Layout.Processor.PCRSelector, segmentSize)
	if err != nil {
		return 0, err
	}
	return vtop.VA(s.Base), m.CheckPCR(vtop.VA(s.Base))
}

// errNoSelf is about a machine whose KPCR refers to nothing by which it is known.
var errNoSelf = errors.New("the machine's KPCR does not name itself")

// CheckPCR checks that pcr is a KPCR: its Self and CurrentPrcb refer to it. Errors:
// a *vtop.FaultError wrapped, or a [PointerError]; always one where a KPCR has neither.
func (m Memory) CheckPCR(pcr vtop.VA) error {
	o := &m.Layout.Processor
	if o.Self == 0 || o.CurrentPrcb == 0 {
		return errNoSelf
	}
	for _, f := range []struct {
		name string
		at   vtop.VA
		want vtop.VA
	}{{"KPCR.Self", pcr + o.Self, pcr}, {"KPCR.CurrentPrcb", pcr + o.CurrentPrcb, pcr + o.Prcb}} {
		v, err := m.Pointer(f.at)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if v != f.want || !m.IsKernel(pcr) {
			return &PointerError{What: f.name, At: f.at, Got: v}
		}
	}
	return nil
}

// Hints returns addresses in the kernel's image to which a vCPU's registers lead, the
// likeliest first: the handlers of interrupts, the system call's entry, what the KPCR knows, and where the vCPU ran. They need not be
// right.
func (m Memory) Hints(r Registers) []vtop.VA {
	var list []vtop.VA
	pcr := m.PCR(r)
	idt := m.idt(r, pcr)
	for _, vector := range m.Layout.Tables.Vectors {
		if va, err := m.Gate(idt, vector); err == nil {
			list = append(list, va)
		}
	}
	list = append(list, r.SystemCall)
	if hint := m.Layout.Processor.Hint; hint != nil {
		list = append(list, hint(m, pcr))
	}
	kernel := list[:0]
	for _, va := range append(list, r.IP) {
		if m.IsKernel(va) {
			kernel = append(kernel, va)
		}
	}
	return kernel
}

// idt is the IDT of a vCPU: its register's, or, of a source without it, the one that the
// KPCR names.
func (m Memory) idt(r Registers, pcr vtop.VA) vtop.VA {
	at := m.Layout.Processor.IDT
	if r.IDT != 0 || at == 0 || m.CheckPCR(pcr) != nil {
		return r.IDT
	}
	if va, err := m.Pointer(pcr + at); err == nil && m.IsKernel(va) {
		return va
	}
	return 0
}

const (
	gates      = 32  // vectors of exceptions
	stubLength = 128 // bytes of a handler that are looked at
	// maxPCR bounds an offset in KPCR with KPRCB: KDBG states sizes as u16.
	maxPCR = 0x10000
)

// ShadowRoot is a root of the kernel's page tables that a vCPU's shadow page
// tables led to.
type ShadowRoot struct {
	// DTB is the value that Windows would load, without flags.
	DTB uint64
	// Offset is where in KPCR it stands, Stub whether an entry stub says so;
	// otherwise it is one of the known offsets.
	Offset vtop.VA
	Stub   bool
}

// KernelRoots returns what KPRCB.KernelDirectoryTableBase may be, as seen through
// the page tables that user mode runs on with KVA shadowing: these map the IDT, the
// entry stubs and a part of KPCR. The offset is taken from the stubs, then from
// the known ones. A root is believed only when it maps what it has to. There is none
// where no base of r is a KPCR.
func (m Memory) KernelRoots(r Registers) []ShadowRoot {
	var list []ShadowRoot
	for _, pcr := range append([]vtop.VA{r.PCR}, r.Alternates...) {
		if m.CheckPCR(pcr) == nil {
			list = m.kernelRoots(m.idt(r, pcr), pcr, list)
		}
	}
	return list
}

// kernelRoots appends what one KPCR leads to.
func (m Memory) kernelRoots(idt, pcr vtop.VA, list []ShadowRoot) []ShadowRoot {
	seen := map[uint64]bool{}
	add := func(offset vtop.VA, stub bool) {
		v, err := m.Pointer(pcr + offset)
		if dtb := uint64(m.Space.Mode.Root(uint64(v))); err == nil && dtb != 0 && !seen[dtb] {
			seen[dtb] = true
			list = append(list, ShadowRoot{DTB: dtb, Offset: offset, Stub: stub})
		}
	}
	for vector := range gates {
		if offset, ok := m.stubOffset(idt, vector); ok {
			add(offset, true)
		}
	}
	for _, offset := range m.Layout.Processor.Directories {
		add(offset, false)
	}
	return list
}

// stubOffset finds the offset that a vector's entry stub loads the root from.
func (m Memory) stubOffset(idt vtop.VA, vector int) (vtop.VA, bool) {
	find := m.Layout.Processor.StubDirectory
	if find == nil {
		return 0, false
	}
	handler, err := m.Gate(idt, vector)
	if err != nil {
		return 0, false
	}
	code := make([]byte, stubLength)
	n, _ := m.Space.ReadVirtual(code, handler) // what is readable of it
	return find(code[:n])
}

// Version is what DBGKD_GET_VERSION64 says (wdbgexts.h): nt!KdVersionBlock, which
// is never encoded.
type Version struct {
	// Major is 0xf in a free build, 0xc in a checked one; Minor is the build.
	Major, Minor uint16
	// Machine is the PE machine type.
	Machine uint16
	// KernBase and PsLoadedModuleList are the kernel's.
	KernBase, PsLoadedModuleList vtop.VA
}

// versionBlock is DBGKD_GET_VERSION64.
type versionBlock struct {
	MajorVersion, MinorVersion                          uint16
	ProtocolVersion, KdSecondaryVersion                 uint8
	Flags, MachineType                                  uint16
	_                                                   [6]byte
	KernBase, PsLoadedModuleList, DebuggerDataListHeads uint64
}

const versionSize = 0x28

var _ [versionSize]byte = [unsafe.Sizeof(versionBlock{})]byte{}

// Version reads the version block that a processor's KPCR names, and checks that it
// belongs to this kernel. Errors: [PointerError], a *vtop.FaultError wrapped,
// [ErrImplausible], [ErrAbsentField].
func (k *Kernel) Version(pcr vtop.VA) (*Version, error) {
	v, err := k.versionAt(pcr)
	if err != nil {
		return nil, err
	}
	if uint64(v.KernBase) != k.Data.KernBase || uint64(v.PsLoadedModuleList) != k.Data.PsLoadedModuleList {
		return nil, fmt.Errorf("KdVersionBlock: %w: KernBase %#x, PsLoadedModuleList %#x are not this kernel's", ErrImplausible, v.KernBase, v.PsLoadedModuleList)
	}
	return v, nil
}

// versionAt is [Kernel.Version] of a kernel of which nothing is known yet: what the
// block says is not checked.
func (m Memory) versionAt(pcr vtop.VA) (*Version, error) {
	if m.Layout.Processor.Version == 0 {
		return nil, fmt.Errorf("KPCR.KdVersionBlock: %w", ErrAbsentField)
	}
	at, err := m.Pointer(pcr + m.Layout.Processor.Version)
	if err != nil {
		return nil, fmt.Errorf("KPCR.KdVersionBlock: %w", err)
	}
	if !m.IsKernel(at) {
		return nil, &PointerError{What: "KPCR.KdVersionBlock", At: pcr + m.Layout.Processor.Version, Got: at}
	}
	raw, err := m.read(at, versionSize)
	if err != nil {
		return nil, fmt.Errorf("KdVersionBlock: %w", err)
	}
	var v versionBlock
	// It can only refuse a short buffer, and this one has the right size.
	_, _ = binary.Decode(raw, binary.LittleEndian, &v)
	return &Version{
		Major: v.MajorVersion, Minor: v.MinorVersion, Machine: v.MachineType,
		// Addresses of 32 bits are extended by their sign there (ReactOS).
		KernBase: vtop.VA(m.Layout.narrow(v.KernBase)), PsLoadedModuleList: vtop.VA(m.Layout.narrow(v.PsLoadedModuleList)),
	}, nil
}
