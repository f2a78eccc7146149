package kdbg

import (
	"context"
	"fmt"

	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

// The names that callers used before there were a [Layout], a [Memory] and a [Kernel].
// They go with the last caller.
type (
	Range              = physmem.Range
	MemoryRun          = physmem.Run
	Image              = peimage.Image
	SpecialRegisters   = specials64
	SpecialRegisters32 = specials32
	Descriptor         = descriptor64
	Descriptor32       = descriptor32
)

// Old constants.
const (
	SharedUserDataVA   vtop.VA = 0xfffff78000000000
	SharedUserDataVA32 vtop.VA = 0xffdf0000
	MaxImageSize               = peimage.MaxSize
)

// TagError is the old error about a tag.
type TagError struct {
	VA  vtop.VA
	Got uint32
}

// Error is the error's text.
func (e *TagError) Error() string { return wrongTag(e.VA, e.Got).Error() }

func memoryOf(s *vtop.Space) Memory {
	if s.Mode.PointerSize == X86.PointerSize {
		return X86.In(s)
	}
	return X64.In(s)
}

func kernelOf(s *vtop.Space, b *Block) *Kernel { return &Kernel{Memory: memoryOf(s), Block: b} }

func blockIn(k *Kernel, err error) (*Block, error) {
	if err != nil {
		return nil, err
	}
	return k.Block, nil
}

// The old functions.
//
//nolint:revive // each is the new method
func SharedUserDataOf(s *vtop.Space) vtop.VA { return memoryOf(s).Layout.SharedUserData }
func Read(s *vtop.Space, va vtop.VA, e Expect) (*Block, error) {
	return blockIn(memoryOf(s).Read(va, e))
}
func Decode(s *vtop.Space, va vtop.VA, e Expect) (*Block, error) {
	return blockIn(memoryOf(s).Decode(va, e))
}
func ReadUnverified(s *vtop.Space, va vtop.VA) (*Block, error) {
	return blockIn(memoryOf(s).ReadUnverified(va))
}
func FindBlock(ctx context.Context, s *vtop.Space, im *Image) (*Block, error) {
	return blockIn(memoryOf(s).FindBlock(ctx, im))
}
func (c *Candidate) Block(s *vtop.Space, va vtop.VA) (*Block, error) { return blockIn(c.Read(s, va)) }
func (b *Block) Verify(s *vtop.Space, e Expect) error                { return kernelOf(s, b).Verify(e) }
func ReadImage(s *vtop.Space, base vtop.VA) (*Image, error)          { return memoryOf(s).ReadImage(base) }
func ImageSize(s *vtop.Space, base vtop.VA) (uint32, error)          { return memoryOf(s).ImageSize(base) }
func FindImage(s *vtop.Space, va vtop.VA) (*Image, error)            { return memoryOf(s).FindImage(va) }
func Gate(s *vtop.Space, idt vtop.VA, vector int) (vtop.VA, error) {
	return memoryOf(s).Gate(idt, vector)
}
func CheckPCR(s *vtop.Space, pcr vtop.VA) error { return memoryOf(s).CheckPCR(pcr) }
func PCR32(s *vtop.Space, gdt vtop.VA) (vtop.VA, error) {
	return X86.In(s).describedPCR(gdt)
}
func KernelRoots(s *vtop.Space, idt, pcr vtop.VA) ([]ShadowRoot, error) {
	if err := CheckPCR(s, pcr); err != nil {
		return nil, err
	}
	return memoryOf(s).kernelRoots(idt, pcr, nil), nil
}
func ReadVersionOf(s *vtop.Space, pcr vtop.VA) (*Version, error) { return memoryOf(s).VersionAt(pcr) }
func ReadVersion(s *vtop.Space, b *Block, pcr vtop.VA) (*Version, error) {
	return kernelOf(s, b).Version(pcr)
}
func ReadSharedUserData(s *vtop.Space) (*SharedUserData, error) { return memoryOf(s).SharedUserData() }
func Modules(s *vtop.Space, head vtop.VA) ([]Module, error)     { return memoryOf(s).ModulesAt(head) }
func Processors(s *vtop.Space, b *Block, n int) ([]Processor, error) {
	return kernelOf(s, b).Processors(n)
}
func Processes(s *vtop.Space, b *Block) ([]Process, error)   { return kernelOf(s, b).Processes() }
func ReadBugCheck(s *vtop.Space, b *Block) (BugCheck, error) { return kernelOf(s, b).BugCheck() }
func BuildLab(s *vtop.Space, b *Block) (string, error)       { return kernelOf(s, b).BuildLab() }
func PhysicalMemory(s *vtop.Space, b *Block) ([]MemoryRun, error) {
	return kernelOf(s, b).PhysicalMemory()
}
func UnloadedDrivers(s *vtop.Space, b *Block) ([]UnloadedDriver, error) {
	return kernelOf(s, b).UnloadedDrivers()
}
func FindFlag(s *vtop.Space, im *Image, b *Block) (vtop.VA, error) {
	return kernelOf(s, b).EncodedFlag(im)
}
func SystemDirectory(s *vtop.Space, b *Block, im *Image, prcb vtop.VA) (uint64, error) {
	return kernelOf(s, b).SystemDirectory(im, prcb)
}
func CurrentProcess(s *vtop.Space, b *Block, prcb vtop.VA) (thread, process vtop.VA, dtb uint64, err error) {
	c, err := kernelOf(s, b).CurrentProcess(prcb)
	return c.Thread, c.Process, c.DirectoryTable, err
}
func ReadSpecialRegisters(s *vtop.Space, va vtop.VA) (*SpecialRegisters, error) {
	got, err := memoryOf(s).SpecialRegisters(va)
	if err != nil {
		return nil, err
	}
	v, ok := got.(*SpecialValues)
	if !ok {
		return nil, fmt.Errorf("special registers at %v: not of this machine", va)
	}
	table := func(t Table) descriptor64 { return descriptor64{Limit: t.Limit, Base: uint64(t.Base)} }
	r := &SpecialRegisters{Cr0: v.Cr0, Cr2: v.Cr2, Cr3: v.Cr3, Cr4: v.Cr4, Gdtr: table(v.Gdtr), Idtr: table(v.Idtr), Tr: v.Tr, Ldtr: v.Ldtr}
	if v.MSR != nil {
		r.MsrGsBase, r.MsrGsSwap, r.MsrLStar = v.MSR.GsBase, v.MSR.GsSwap, v.MSR.LStar
	}
	return r, nil
}
