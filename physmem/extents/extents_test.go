package extents_test

import (
	"fmt"
	"slices"

	"windmp/physmem"
	"windmp/physmem/extents"
)

// A second state of the memory leaves the first one alone.
func ExampleMemory_With() {
	first := extents.New(nil, []physmem.Extent{
		{Range: physmem.Range{Start: 0x1000, Size: 0x1000}, Offset: 0x100},
		{Range: physmem.Range{Start: 0x3000, Size: 0x1000}, Offset: 0x2100},
	})
	second := first.With([]physmem.Extent{{Range: physmem.Range{Start: 0x2000, Size: 0x1000}, Offset: 0x1100, Recovered: true}})
	fmt.Println(len(slices.Collect(first.Extents(0))), first.Ranges())
	for e := range second.Extents(0) {
		fmt.Printf("%v at offset %#x, recovered: %v\n", e.Range, e.Offset, e.Recovered)
	}
	fmt.Println(second.Ranges())
	// Output:
	// 2 [[0x1000, 0x2000) [0x3000, 0x4000)]
	// [0x1000, 0x2000) at offset 0x100, recovered: false
	// [0x2000, 0x3000) at offset 0x1100, recovered: true
	// [0x3000, 0x4000) at offset 0x2100, recovered: false
	// [[0x1000, 0x4000)]
}
