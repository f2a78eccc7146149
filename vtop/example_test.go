package vtop_test

import (
	"encoding/binary"
	"errors"
	"fmt"

	"windmp/vtop"
)

// memory is 64 KiB of guest-physical memory, all there is.
type memory [0x10000]byte

var errNotInImage = errors.New("not in the image")

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, errNotInImage
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, errNotInImage
	}
	return n, nil
}

func (m *memory) setEntry(table, index int, entry uint64) {
	binary.LittleEndian.PutUint64(m[table+8*index:], entry)
}

// newMemory maps 0xfffff80000001000 to the page at 0x8000, through tables at
// 0x1000, 0x2000, 0x3000 and 0x4000.
func newMemory() *memory {
	m := new(memory)
	m.setEntry(0x1000, 0x1f0, 0x2003)
	m.setEntry(0x2000, 0, 0x3003)
	m.setEntry(0x3000, 0, 0x4003)
	m.setEntry(0x4000, 1, 0x8003)
	m.setEntry(0x4000, 2, 0x9999_0000_0080) // in a paging file
	m.setEntry(0x4000, 3, 0x7000_0003)      // a page that the image does not hold
	copy(m[0x8ff0:], "the page's end!!")
	return m
}

func ExampleSpace_ReadVirtual() {
	space := vtop.NewSpace(newMemory(), 0x1000, vtop.X64)
	text := make([]byte, 16)
	if _, err := space.ReadVirtual(text, 0xfffff80000001ff0); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", text)
	// Output: the page's end!!
}

func ExampleSpace_Walk() {
	space := vtop.NewSpace(newMemory(), 0x1000, vtop.X64)
	steps, err := space.Walk(0xfffff80000001ff0)
	for _, step := range steps {
		fmt.Printf("level %d, at %v: %#x %v\n", step.Level, step.EntryPA, step.Entry, space.Flags(step.Level, step.Entry))
	}
	fmt.Println(err)
	// Output:
	// level 4, at 0x1f80: 0x2003 [P RW]
	// level 3, at 0x2000: 0x3003 [P RW]
	// level 2, at 0x3000: 0x4003 [P RW]
	// level 1, at 0x4008: 0x8003 [P RW]
	// <nil>
}

// A report says which of three things is the matter.
func ExampleFaultError() {
	space := vtop.NewSpace(newMemory(), 0x1000, vtop.X64)
	for _, va := range []vtop.VA{0xfffff80000001000, 0xfffff80000002000, 0xfffff80000003000} {
		_, err := space.Uint64(va)
		switch {
		case err == nil:
			fmt.Println(va, "is there")
		case errors.Is(err, vtop.ErrNotMapped):
			fmt.Println("the guest has no page:", err)
		case errors.Is(err, errNotInImage):
			fmt.Println("the image lacks it:", err)
		default:
			fmt.Println("reading failed:", err)
		}
	}
	// Output:
	// 0xfffff80000001000 is there
	// the guest has no page: virtual address 0xfffff80000002000: in a paging file: level 1 entry 0x999900000080 at 0x4010
	// the image lacks it: virtual address 0xfffff80000003000: page unreadable: physical address 0x70000000: not in the image
}
