package kdbg

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"windmp/physmem"
	"windmp/vtop"
)

// MaxMemoryRuns bounds the runs of a guest's own table of memory. Firmware of large
// machines makes a few dozen; a machine whose memory grows in blocks of its own
// (virtio-mem, 2 MiB and more each) may have one for each of thousands.
const MaxMemoryRuns = 1 << 16

// runsRead is how many runs are read at once, so that a count that is claimed takes
// no room before the runs are there.
const runsRead = 256

// PhysicalMemory reads what *MmPhysicalMemoryBlock describes: the memory that the
// firmware gave Windows, without ROM and video memory; ascending, disjoint.
// Errors: [BlockError], [PointerError], a *vtop.FaultError wrapped, [ErrTooMany], or
// [ErrImplausible].
func (k *Kernel) PhysicalMemory() (physmem.Runs, error) {
	variable, err := k.field("MmPhysicalMemoryBlock", unsafe.Offsetof(k.Data.MmPhysicalMemoryBlock), k.Data.MmPhysicalMemoryBlock)
	if err != nil {
		return nil, err
	}
	at, err := k.Pointer(variable)
	if err != nil {
		return nil, fmt.Errorf("MmPhysicalMemoryBlock: %w", err)
	}
	if !k.IsKernel(at) {
		return nil, &PointerError{What: "MmPhysicalMemoryBlock", At: variable, Got: at}
	}
	runs, pages, err := k.memoryBlock(at)
	if err != nil {
		return nil, err
	}
	return runs, CheckRuns(at, runs, pages)
}

// memoryBlock reads the runs and NumberOfPages of PHYSICAL_MEMORY_DESCRIPTOR as the
// kernel keeps it (Microsoft ntddk.h): a ULONG, aligned, then PFN_NUMBERs, which have
// the size of pointers, with PAE too; the runs follow, two of them each.
func (m Memory) memoryBlock(at vtop.VA) (physmem.Runs, uint64, error) {
	l, run := m.Layout, 2*m.Layout.PointerSize
	head, err := m.read(at, run)
	if err != nil {
		return nil, 0, fmt.Errorf("memory block: %w", err)
	}
	n := binary.LittleEndian.Uint32(head)
	if n == 0 || n > MaxMemoryRuns {
		return nil, 0, fmt.Errorf("memory block at %v: %w: %d runs, want 1..%d", at, ErrTooMany, n, MaxMemoryRuns)
	}
	var runs physmem.Runs
	for at += l.pointers(2); len(runs) < int(n); at += l.pointers(2 * runsRead) {
		raw, err := m.read(at, min(int(n)-len(runs), runsRead)*run)
		if err != nil {
			return nil, 0, fmt.Errorf("memory block: %w", err)
		}
		for ; len(raw) > 0; raw = raw[run:] {
			runs = append(runs, physmem.Run{BasePage: l.Pointer(raw, 0), PageCount: l.Pointer(raw, l.PointerSize)})
		}
	}
	return runs, l.Pointer(head, l.PointerSize), nil
}

// CheckRuns checks the runs of a kernel's table of physical memory, which lies at an
// address: ascending, disjoint, none empty, and pages of them in all. The error wraps
// [ErrImplausible].
func CheckRuns(at vtop.VA, runs physmem.Runs, pages uint64) error {
	var sum, end uint64
	for i, r := range runs {
		if r.PageCount == 0 || r.BasePage < end || r.BasePage > physmem.MaxPFN || r.PageCount > physmem.MaxPFN-r.BasePage {
			return fmt.Errorf("memory block at %v: %w: run %d is pages %#x+%#x behind %#x", at, ErrImplausible, i, r.BasePage, r.PageCount, end)
		}
		end = r.BasePage + r.PageCount
		sum += r.PageCount
	}
	if sum != pages {
		return fmt.Errorf("memory block at %v: %w: the runs hold %#x pages, NumberOfPages is %#x", at, ErrImplausible, sum, pages)
	}
	return nil
}
