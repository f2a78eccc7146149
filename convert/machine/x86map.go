package machine

import "windmp/physmem"

// end4G is where PCs go on with the memory that the devices below displaced.
const end4G = 1 << 32

// mapPC is the memory map of a PC: RAM below video memory, ROM up to 1 MiB, then RAM
// up to the PCI window with its configuration space, and from 4 GiB on (QEMU
// hw/i386/pc.c, pc_q35.c, hw/display/vga.c). A graphics card has 128 KiB from 640 KiB
// on; in the window, what a file holds is video memory or ROM when it is small.
var mapPC = MemoryMap{
	RAM: []physmem.Range{
		physmem.Span(0, 0xa0000), physmem.Span(0x100000, 0xb0000000), physmem.Span(end4G, 1<<46),
	},
	LowHole:    physmem.Span(0xa0000, 0xc0000),
	Devices:    []physmem.Range{physmem.Span(0xa0000, 0x100000)},
	Window:     physmem.Span(0xb0000000, end4G),
	WindowMost: 256 << 20,
	// Sources: QEMU hw/i386/pc_piix.c and pc_q35.c (3.5 and 2.75 GiB of memory and more
	// are split at 3 and 2 GiB); VMware's .vmem files as Volatility reads them;
	// VirtualBox VMM/VMMR3/PGM (MM_RAM_HOLE_SIZE_DEFAULT, 512 MiB); Xen
	// hvm_info_table.h (HVM_BELOW_4G_RAM_END); Hyper-V's low memory gap of 128 MiB.
	Holes: []Hole{
		{physmem.Span(0xc0000000, end4G), 0xc0000000, "QEMU's pc machine, VMware"},
		{physmem.Span(0x80000000, end4G), 0xb0000000, "QEMU's q35 machine"},
		{physmem.Span(0xe0000000, end4G), 0xe0000000, "VirtualBox"},
		{physmem.Span(0xf0000000, end4G), 0xf0000000, "Xen"},
		{physmem.Span(0xf8000000, end4G), 0xf8000000, "Hyper-V"},
		{physmem.Span(0xb0000000, end4G), 0xb0000000, "QEMU's q35 machine before 2.0"},
	},
}
