package kdbg

import (
	"bytes"
	"encoding/binary"

	"windmp/kdbg/peimage"
	"windmp/kdbg/specials"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// X64 is the kernel of x64. Where no source is named: Volatility's profiles; the KDBG of
// builds 9600, 19041 and 26100 states the same.
var X64 = &Layout{
	PointerSize: 8,
	// With 57-bit addresses; with 48 bits the half begins higher (Intel SDM vol. 1,
	// 3.3.7.1).
	LowestKernel: vtop.LA57.KernelStart,
	// The region of the system's images (MemProcFS looks in the lower half of it).
	FirstImage: 0xfffff80000000000, LastImage: 0xfffff80fffffffff,
	SharedUserData: 0xfffff78000000000,
	PageTables:     0xfffff68000000000, // before 1607
	Image:          peimage.X64,
	Encodes:        true,
	// Alike in 71 of 71 crashes, builds 9600 to 26100: the arguments go to their homes,
	// then the flags are pushed.
	StopCode: []byte{
		0x48, 0x89, 0x4c, 0x24, 0x08, 0x48, 0x89, 0x54, 0x24, 0x10,
		0x4c, 0x89, 0x44, 0x24, 0x18, 0x4c, 0x89, 0x4c, 0x24, 0x20, 0x9c,
	},
	// Alike in all builds (also kdmp-parser).
	Loader: LoaderLayout{
		ExceptionTable: 0x10, ExceptionTableSize: 0x18, DllBase: 0x30, EntryPoint: 0x38, SizeOfImage: 0x40, FullDllName: 0x48, BaseDllName: 0x58,
		// Seen in triage dumps that Windows wrote, of builds 9600 to 26100.
		CheckSum: 0x78, TimeDateStamp: 0x9c, StampSince: 9200,
	},
	Process: ProcessLayout{
		ApcProcess: 0xb8, DirectoryTable: 0x28, NameFromPeb: []int{0x50, 0x58, 0x60, -0x50, -0x58},
		// KSWITCH_FRAME of ntoskrnl's public symbols, alike since Vista.
		Switch: SwitchLayout{Return: 0x38, Size: 0x40, FramePointer: 0x30, FrameRegister: 5},
	},
	Processor: ProcessorLayout{
		Self: 0x18, CurrentPrcb: 0x20, Prcb: 0x180, Version: 0x108,
		Number: 0x24, IdleThread: 0x18,
		// KPCR.GdtBase, TssBase and IdtBase (WDK, wdm.h).
		Held:             []HeldAddress{{0x0, gdtBase}, {0x8, tssBase}, {0x38, idtBase}},
		IDT:              0x38,
		SpecialRegisters: func(d *wire.Data) uint16 { return d.OffsetPrcbProcStateSpecialReg },
		Hint:             savedSystemCall,
		// 1507 to 1909, 2004 and later, the newest, Windows 7 with updates (also
		// QEMU contrib/elf2dmp and public disassemblies).
		Directories:   []vtop.VA{0x7000, 0x9000, 0xa000, 0x6000},
		StubDirectory: stubDirectory64,
	},
	Tables: TablesLayout{
		GateSize: 16, Gate: gate64, Vectors: vectorsX86, SystemSize: 16, Segment: segmentOf,
		KernelCode: 0x10,
	},
	Specials: specials.X64,
}

// gate64 decodes a gate of 64-bit mode (Intel SDM vol. 3, 6.14.1).
func gate64(b []byte) vtop.VA {
	le := binary.LittleEndian
	return vtop.VA(le.Uint16(b)) | vtop.VA(le.Uint16(b[6:]))<<16 | vtop.VA(le.Uint32(b[8:]))<<32
}

// savedSystemCall is IA32_LSTAR as the KPRCB keeps it, 0 if that is not readable:
// KSPECIAL_REGISTERS lies at +0x100, before 1703 at +0x40.
func savedSystemCall(m Memory, pcr vtop.VA) vtop.VA {
	if m.CheckPCR(pcr) != nil {
		return 0
	}
	prcb := pcr + m.Layout.Processor.Prcb
	for _, at := range []vtop.VA{0x100, 0x40} {
		s, err := m.SpecialRegisters(prcb + at)
		if r, ok := s.(*specials.X86Values); err == nil && ok && r.MSR != nil && r.MSR.GsBase == uint64(pcr) {
			return vtop.VA(r.MSR.LStar)
		}
	}
	return 0
}

// The two instructions with which an entry stub of a guest with KVA shadowing
// leaves the user's page tables (bytes in public disassemblies of
// KiDivideErrorFaultShadow): mov rsp, gs:[imm32] and mov cr3, rsp.
var (
	movRspGS  = []byte{0x65, 0x48, 0x8b, 0x24, 0x25}
	movCR3Rsp = []byte{0x0f, 0x22, 0xdc}
)

// loadWithin is how many bytes the one may be from the other.
const loadWithin = 16

// stubDirectory64 is the imm32 of the former.
func stubDirectory64(code []byte) (vtop.VA, bool) {
	const imm = 4
	for {
		at := bytes.Index(code, movRspGS)
		if at < 0 || len(code)-at < len(movRspGS)+imm {
			return 0, false
		}
		code = code[at+len(movRspGS):]
		offset := vtop.VA(binary.LittleEndian.Uint32(code))
		if bytes.Contains(code[imm:min(len(code), imm+loadWithin)], movCR3Rsp) && offset%wire.WordSize == 0 && offset < maxPCR {
			return offset, true
		}
	}
}
