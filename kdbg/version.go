package kdbg

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"windmp/vtop"
)

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
// [ErrImplausible].
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
