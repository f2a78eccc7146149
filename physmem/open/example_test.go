package open_test

import (
	"context"
	"errors"
	"fmt"

	"windmp/physmem"
	"windmp/physmem/open"
)

// Read guest-physical memory, and tell what the file does not hold from what can't
// be read.
func ExampleFile() {
	image, err := open.File(context.Background(), "../../testdata/guest-bsod.vmcore", open.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer image.Close()

	fmt.Println(image.Describe())
	for _, r := range image.Ranges() {
		fmt.Println("memory", r)
	}
	buf := make([]byte, 0x2000)
	n, err := image.ReadAt(buf, 0x3ff000) // 0x1000 bytes, then nothing
	var hole *physmem.NotInImageError
	if errors.As(err, &hole) {
		fmt.Printf("%#x bytes read: %v\n", n, err)
	}
	// Output:
	// ELF64 vmcore of QEMU, 2 program headers, 2 CPUs
	// memory [0x0, 0x400000)
	// 0x1000 bytes read: guest physical memory at 0x400000 and all behind it is not in the image
}
