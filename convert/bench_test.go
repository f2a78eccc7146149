package convert_test

import (
	"context"
	"io"
	"testing"

	"windmp/convert"
	"windmp/physmem"
)

// BenchmarkExamine is the cost of knowing a guest, whatever its size.
func BenchmarkExamine(b *testing.B) {
	im, err := physmem.Open(samplePath("guest-bsod.vmcore"))
	if err != nil {
		b.Fatal(err)
	}
	defer im.Close()
	for b.Loop() {
		if _, err := convert.Examine(im); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite is the copy with its edits, without a disk to write to.
func BenchmarkWrite(b *testing.B) {
	im, err := physmem.Open(samplePath("guest-bsod.vmcore"))
	if err != nil {
		b.Fatal(err)
	}
	defer im.Close()
	g, err := convert.Examine(im)
	if err != nil {
		b.Fatal(err)
	}
	p, err := convert.NewPlan(g, convert.Options{Contexts: convert.ContextsVCPU})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(p.Size)
	for b.Loop() {
		if err := p.Write(context.Background(), io.Discard, convert.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
