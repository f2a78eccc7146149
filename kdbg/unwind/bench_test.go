package unwind

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkWalk walks a stack of 30 frames in an image with 500 functions, whose headers
// are read anew each time.
func BenchmarkWalk(b *testing.B) {
	x := newBuilt()
	x.withCall()
	info := x.info(1, 5, 3, 0, 5, 0x32, 2, 0xc0, 1, 0x30) // push rbx; push r12; sub rsp,0x20
	for i := range uint32(500) {
		x.function(0x1000+0x30*i, 0x1020+0x30*i, info)
	}
	x.done()
	sp := stackTop - 0x2000
	for i := range uint32(30) {
		x.write64(sp, 0, 0, 0, 0, 12, 3, uint64(imageBase)+0x1008+uint64(0x30*16*i))
		sp += 0x38
	}
	x.write64(sp, 0, 0, 0, 0, 12, 3, 0)
	mem := &counted{memory: x.memory}
	s := x.space()
	s.Mem = mem
	f := at(0x1008, stackTop-0x2000)
	b.ReportAllocs()
	for b.Loop() {
		mem.reads = 0
		t := X64.Walk(s, NewList([]*Image{{Base: imageBase, Size: imageSize}}), f, limits)
		require.Equal(b, AtEnd, t.Stop.Reason)
		require.Len(b, t.Steps, 30)
	}
	b.ReportMetric(float64(mem.reads), "reads/op")
}
