package extents_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"windmp/internal/testtime"
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

// TestHostile: each of many addresses is looked up among many extents, which takes
// several times the limit where all of them are compared.
func TestHostile(t *testing.T) {
	t.Parallel()
	const n = 1 << 17
	list := make([]physmem.Extent, n)
	for i := range list {
		list[i] = physmem.Extent{Range: physmem.Range{Start: uint64(2 * i), Size: 1}, Offset: int64(i)}
	}
	m := extents.New(bytes.NewReader(make([]byte, n)), list)
	end := time.Now().Add(testtime.Limit(2 * time.Second))
	for i := range list {
		_, err := m.ReadAt(make([]byte, 1), int64(2*i))
		next := m.NextData(int64(2 * i))
		for e := range m.Extents(uint64(2 * i)) {
			if e.Offset != int64(i) || err != nil || next != int64(2*i) || i%1024 == 0 && time.Now().After(end) {
				t.Fatalf("extent %d of %d is %v, next %d, error %v", i, n, e, next, err)
			}
			break
		}
	}
}
