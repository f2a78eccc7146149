package guestsim

import (
	"encoding/binary"
	"unicode/utf16"
)

// FlatMemory is guest-physical memory from address 0 on. Beyond its end is a hole.
type FlatMemory []byte

// ReadAt reads at a physical address.
func (m FlatMemory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, ErrHole
	}
	if n := copy(p, m[off:]); n < len(p) {
		return n, ErrHole
	}
	return len(p), nil
}

// Kernel32 is a 32-bit kernel without PAE, with what leads to it and what hangs off it: 4
// MiB at 82800000, and KUSER_SHARED_DATA. Its page tables begin at physical address
// 0x1000.
type Kernel32 struct{ Mem FlatMemory }

// Where a [Kernel32] has its image and, in it, the structures that are read.
const (
	NT32       = 0x82a00000
	KDBG32     = NT32 + 0x12ebe8
	Loaded32   = NT32 + 0x14e4d0
	prcbs32    = NT32 + 0x17e8fc
	PRCB32     = NT32 + 0x180120
	BugCheck32 = NT32 + 0x1528e0
	IDT32      = NT32 + 0x1b0000
	GDT32      = NT32 + 0x1b1000
	PCR32      = PRCB32 - 0x120
	version32  = NT32 + 0x1b2000
	Runs32     = NT32 + 0x1b3000
	System32   = NT32 + 0x1b4000
	Thread32   = NT32 + 0x1b5000
)

// NewKernel32 builds the kernel.
func NewKernel32() *Kernel32 {
	k := &Kernel32{Mem: make(FlatMemory, 0x800000)}
	phys := func(pa int, v uint32) { binary.LittleEndian.PutUint32(k.Mem[pa:], v) }
	phys(0x1000+4*(NT32>>22), 0x400000|0xe3)
	phys(0x1000+4*0x3ff, 0x2000|0x63)
	phys(0x2000+4*0x1f0, 0x3000|0x63)

	k.Put32(KDBG32, NT32+0x161b98, NT32+0x161b9c, 0, 0, 0x4742444b, 0x340)
	k.Put64(KDBG32+0x18, NT32)
	k.Put64(KDBG32+0x48, Loaded32)
	k.Put64(KDBG32+0x50, NT32+0x146df8)
	k.Put64(KDBG32+0x88, 0xffffffff<<32|BugCheck32) // sign-extended, as nobody should write it
	k.Put64(KDBG32+0x138, 0x1000)
	k.Put64(KDBG32+0x218, prcbs32)
	k.Put32(KDBG32+0x338, 0x3618)

	k.Put32(NT32, 0x5a4d)
	k.Put32(NT32+0x3c, 0x80)
	k.Put32(NT32+0x80, 0x4550, 0x14c)
	k.Put32(NT32+0x80+24, 0x10b)
	k.Put32(NT32+0x80+24+56, 0x200000)

	first, second := uint32(NT32+0x190000), uint32(NT32+0x190100)
	k.Put32(Loaded32, first, second)
	k.module(first, second, NT32, 0x200000, "ntoskrnl.exe")
	k.module(second, Loaded32, 0x8b4e0000, 0x8000, "driver.sys")

	k.Put32(prcbs32, PRCB32, 0)
	k.Put32(PRCB32+0x3cc, 7)
	k.Put32(PRCB32+0x3618, NT32+0x1a0340)
	k.Put32(BugCheck32, 0x7e, 0xc0000005, 0x8b4e1234, 3, 4)

	k.Put32(NT32+0x161b98, KDBG32, KDBG32)
	k.Put32(IDT32+8*3, 0x00081234, 0x82a0ee00)
	k.Put32(GDT32+0x30, uint32(PCR32&0xffff)<<16|0x3748, uint32(PCR32)&0xff000000|0x00409300|uint32(PCR32)>>16&0xff)
	k.Put32(PCR32+0x1c, PCR32, PRCB32)
	k.Put32(PCR32+0x34, version32)
	k.Put32(version32, 7601<<16|0xf, 6, 0x14c)
	k.Put64(version32+0x10, 0xffffffff<<32|NT32)
	k.Put64(version32+0x18, 0xffffffff<<32|Loaded32)
	k.Put64(KDBG32+0x270, Runs32+0x800)
	k.Put32(Runs32+0x800, Runs32)
	k.Put32(Runs32, 2, 0x1000, 1, 0x9e, 0x100, 0xf62)
	k.Put32(PRCB32+0xc, Thread32)
	k.Put32(KDBG32+0x2a0, 0x50)
	k.Put32(Thread32+0x50, System32)
	k.Put32(System32+0x18, 0x1000)
	return k
}

// At is what lies at an address of the image, up to the end of memory.
func (k *Kernel32) At(va uint32) []byte { return k.Mem[0x400000+va-0x82800000:] }

// Put32 writes numbers of 32 bits that follow each other.
func (k *Kernel32) Put32(va uint32, values ...uint32) {
	for i, v := range values {
		binary.LittleEndian.PutUint32(k.At(va+4*uint32(i)), v)
	}
}

// Put16 writes a number of 16 bits.
func (k *Kernel32) Put16(va uint32, v uint16) { binary.LittleEndian.PutUint16(k.At(va), v) }

// Put64 writes a number of 64 bits.
func (k *Kernel32) Put64(va uint32, v uint64) { binary.LittleEndian.PutUint64(k.At(va), v) }

func (k *Kernel32) module(at, next, base, size uint32, name string) {
	k.Put32(at, next)
	k.Put32(at+0x18, base, base+0x1000, size)
	for _, field := range []uint32{0x24, 0x2c} {
		k.Put32(at+field, uint32(4*len(name))<<15|uint32(2*len(name)), at+0x40)
	}
	for i, u := range utf16.Encode([]rune(name)) {
		binary.LittleEndian.PutUint16(k.At(at+0x40+2*uint32(i)), u)
	}
}
