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
	space := vtop.NewSpace(guest.Memory(), guest.DTB, vtop.X64)
	at := vtop.VA(guest.KDBG)
	expect := kdbg.Expect{PsLoadedModuleList: vtop.VA(guest.PsLoadedModuleList)}

	block, err := kdbg.Read(space, at, expect)
	if errors.Is(err, kdbg.ErrNotFound) {
		block, err = kdbg.Decode(space, at, expect)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("kernel at %v, block of %#x bytes, encoded: %v\n", vtop.VA(block.Data.KernBase), len(block.Raw), block.Encoded)

	processors, err := kdbg.Processors(space, block, 2)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range processors {
		fmt.Printf("processor %d: KPCR %v\n", p.Number, p.PCR)
	}
	modules, err := kdbg.Modules(space, vtop.VA(block.Data.PsLoadedModuleList))
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
