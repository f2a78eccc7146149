package kdbg_test

import (
	"context"
	"errors"
	"fmt"

	"windmp/kdbg"
	"windmp/physmem/open"
	"windmp/vtop"
	"windmp/winhdr"
)

// Where the block is says the dump header, here the one that the guest's driver left
// with its host.
func Example() {
	image, err := open.File(context.Background(), "../testdata/guest-bsod.vmcore", open.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer image.Close()
	header, err := winhdr.Decode(image.GuestNote().Desc)
	if err != nil {
		fmt.Println(err)
		return
	}
	memory := kdbg.X64.In(vtop.NewSpace(image, header.DirectoryTableBase, vtop.X64))
	at := vtop.VA(header.KdDebuggerDataBlock)
	expect := kdbg.Expect{PsLoadedModuleList: vtop.VA(header.PsLoadedModuleList)}

	kernel, err := memory.Read(at, expect)
	if errors.Is(err, kdbg.ErrNotFound) {
		kernel, err = memory.Decode(at, expect)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("kernel at %v, block of %#x bytes, encoded: %v\n", vtop.VA(kernel.Data.KernBase), len(kernel.Raw), kernel.Encoded)

	processors, err := kernel.Processors(int(header.NumberProcessors))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range processors {
		fmt.Printf("processor %d: KPCR %v\n", p.Number, p.PCR)
	}
	modules, err := kernel.Modules()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range modules {
		fmt.Printf("%v %q\n", m.Base, m.Name)
	}
	// Output:
	// kernel at 0xfffff80041c00000, block of 0x380 bytes, encoded: false
	// processor 0: KPCR 0xffffb98000180000
	// processor 1: KPCR 0xffffb98000190000
	// 0xfffff80041c00000 "ntoskrnl.exe"
	// 0xfffff80041b60000 "hal.dll"
	// 0xfffff80045e20000 "fwcfg.sys"
	// 0xfffff80045e40000 "testdrv.sys"
}
