package vmcore_test

import (
	"errors"
	"fmt"
	"log"

	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

func ExampleNew() {
	file := twoBlocks(1).build() // the bytes of a small vmcore
	m, err := physmemtest.Open(file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Describe())
	for _, r := range m.Ranges() {
		fmt.Println("memory", r)
	}
	for _, c := range m.CPUs() {
		x := physmem.X86Of(c)
		fmt.Printf("CPU %d: rip %#x, cr3 %#x\n", c.ID, x.Rip, x.CR3)
	}
	// Output:
	// ELF64 vmcore of QEMU, 3 program headers, 1 CPU
	// memory [0x0, 0x5000)
	// memory [0x10000, 0x13000)
	// CPU 0: rip 0xfffff80000000010, cr3 0xfffff800000000cb
}

func ExampleImage_ReadAt() {
	file := twoBlocks(1).build()
	m, err := physmemtest.Open(file)
	if err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 0x2000)
	n, err := m.ReadAt(buf, 0x4000) // 0x1000 bytes, then a hole
	var hole *physmem.NotInImageError
	if errors.As(err, &hole) {
		fmt.Printf("%#x bytes read, the next memory is %#x bytes behind\n", n, hole.Size)
	}
	// Output:
	// 0x1000 bytes read, the next memory is 0xb000 bytes behind
}
