package specials

import (
	"encoding/binary"
	"unsafe"

	"windmp/vtop"
)

// descriptor32 is KDESCRIPTOR of x86.
type descriptor32 struct {
	Pad   uint16
	Limit uint16 // bytes - 1
	Base  uint32 // VA
}

func (d descriptor32) table() Table { return Table{Limit: d.Limit, Base: vtop.VA(d.Base)} }

// specials32 is KSPECIAL_REGISTERS of x86 up to Ldtr.
type specials32 struct {
	Cr0, Cr2, Cr3, Cr4              uint32 // 0x00
	KernelDr0, KernelDr1, KernelDr2 uint32 // 0x10
	KernelDr3, KernelDr6, KernelDr7 uint32 // 0x1c
	Gdtr, Idtr                      descriptor32
	Tr, Ldtr                        uint16 // 0x38, selectors
}

var _ [0x3c]byte = [unsafe.Sizeof(specials32{})]byte{}

func decode32(b []byte) Registers {
	var w specials32
	// It can only refuse a short buffer, and readers give one of this size.
	_, _ = binary.Decode(b, binary.LittleEndian, &w)
	return &X86Values{
		Cr0: uint64(w.Cr0), Cr2: uint64(w.Cr2), Cr3: uint64(w.Cr3), Cr4: uint64(w.Cr4),
		Gdtr: w.Gdtr.table(), Idtr: w.Idtr.table(), Tr: w.Tr, Ldtr: w.Ldtr,
		Debug: &DebugRegisters{
			Dr0: uint64(w.KernelDr0), Dr1: uint64(w.KernelDr1), Dr2: uint64(w.KernelDr2),
			Dr3: uint64(w.KernelDr3), Dr6: uint64(w.KernelDr6), Dr7: uint64(w.KernelDr7),
		},
	}
}

// edit32 writes no LDTR: it is kept.
func edit32(s Registers) []Edit {
	r, ok := s.(*X86Values)
	if !ok {
		return nil
	}
	const size = 4
	var w specials32
	limit := unsafe.Offsetof(w.Gdtr.Limit)
	list := r.commonEdits(size, unsafe.Offsetof(w.Cr0), unsafe.Offsetof(w.Gdtr)+limit, unsafe.Offsetof(w.Idtr)+limit, unsafe.Offsetof(w.Tr))
	if r.Debug != nil {
		list = append(list, r.Debug.edit(size, unsafe.Offsetof(w.KernelDr0)))
	}
	return list
}

// X86 is the codec of 32-bit x86.
var X86 = Codec{Size: int(unsafe.Sizeof(specials32{})), Decode: decode32, Edits: edit32}
