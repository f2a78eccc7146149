package kdbg_test

import (
	"errors"
	"fmt"
	"log"

	"windmp/internal/guestsim"
	"windmp/kdbg"
	"windmp/vtop"
)

// A guest's memory usually comes from physmem and the addresses from its dump
// header; a synthetic guest stands in for both here.
func Example() {
	guest := guestsim.New(guestsim.Options{CPUs: 2, Encoded: true})
	memory := kdbg.X64.In(vtop.NewSpace(guest.Memory(), guest.DTB, vtop.X64))
	at := vtop.VA(guest.KDBG)
	expect := kdbg.Expect{PsLoadedModuleList: vtop.VA(guest.PsLoadedModuleList)}

	kernel, err := memory.Read(at, expect)
	if errors.Is(err, kdbg.ErrNotFound) {
		kernel, err = memory.Decode(at, expect)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("kernel at %v, block of %#x bytes, encoded: %v\n", vtop.VA(kernel.Data.KernBase), len(kernel.Raw), kernel.Encoded)

	processors, err := kernel.Processors(2)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range processors {
		fmt.Printf("processor %d: KPCR %v\n", p.Number, p.PCR)
	}
	modules, err := kernel.Modules()
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range modules {
		fmt.Printf("%v %q\n", m.Base, m.Name)
	}
	// Output:
	// kernel at fffff804`12c00000, block of 0x380 bytes, encoded: true
	// processor 0: KPCR fffff804`10000000
	// processor 1: KPCR fffff804`10020000
	// fffff804`12c00000 "ntoskrnl.exe"
	// fffff804`12b56000 "hal.dll"
	// fffff804`15ee0000 "fwcfg.sys"
}
