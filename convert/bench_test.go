package convert_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/write"
	"windmp/internal/guestpages"
	"windmp/internal/guestsim"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// BenchmarkExamine is the cost of knowing a guest, whatever its size.
func BenchmarkExamine(b *testing.B) {
	im, err := open.File(b.Context(), samplePath("guest-bsod.vmcore"), open.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer im.Close()
	for b.Loop() {
		if _, err := guest.Find(context.Background(), im, guest.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite is the copy with its edits, without a disk to write to.
func BenchmarkWrite(b *testing.B) {
	im, err := open.File(b.Context(), samplePath("guest-bsod.vmcore"), open.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer im.Close()
	g, err := guest.Find(context.Background(), im, guest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	p, err := plan.New(b.Context(), g, plan.Options{Contexts: plan.ContextsVCPU})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(p.Size())
	for b.Loop() {
		if err := convert.Write(context.Background(), p, io.Discard, write.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteFile is the copy of 256 MiB that resemble a guest's memory from file
// to file, with different numbers of workers; TMPDIR says where.
func BenchmarkWriteFile(b *testing.B) {
	path := bigFile(b, 256<<20)
	im, err := open.File(b.Context(), path, open.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { _ = im.Close() })
	g, err := guest.Find(context.Background(), im, guest.Options{})
	require.NoError(b, err)
	out := filepath.Join(b.TempDir(), "out.dmp")
	for _, workers := range []int{1, 2, 3, 4, 8} {
		for _, mode := range []write.Sparse{write.SparseNever, write.SparseAuto} {
			b.Run(fmt.Sprintf("workers=%d/sparse=%s", workers, mode), func(b *testing.B) {
				opt := convert.Options{Write: write.Options{Workers: workers, Sparse: mode, NoSync: true, Force: true}}
				p, err := plan.New(b.Context(), g, opt.Plan)
				require.NoError(b, err)
				b.SetBytes(p.Size())
				for b.Loop() {
					if _, err := convert.WriteFile(b.Context(), p, out, opt.Write); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// bigFile writes a core whose last run has size bytes that resemble a guest's.
func bigFile(b *testing.B, size uint64) string {
	b.Helper()
	core := newHoleyCore(b, guestsim.Options{CPUs: 2}, size)
	memory := make([]byte, core.size-int64(len(core.head)))
	guestpages.Fill(memory[:len(memory)&^(guestpages.Size-1)], 0)
	path := filepath.Join(b.TempDir(), "big.vmcore")
	require.NoError(b, os.WriteFile(path, append(core.head, memory...), 0o600))
	return path
}

// BenchmarkCheckFull reads and hashes every byte of a file.
func BenchmarkCheckFull(b *testing.B) {
	const size = 64 << 20
	path := bigFile(b, size)
	b.SetBytes(size)
	for b.Loop() {
		if f := checkFile(b.Context(), path, inspect.CheckOptions{Level: inspect.CheckFull}); f.Verdict != "OK" {
			b.Fatal(f.Reason)
		}
	}
}

// BenchmarkPlanKernel chooses the pages of a kernel dump of a guest of 1 TiB that
// maps little of it.
func BenchmarkPlanKernel(b *testing.B) {
	core := newHoleyCore(b, guestsim.Options{CPUs: 2}, 1<<40)
	im, err := physmemtest.OpenReader(core, core.size, open.Options{})
	require.NoError(b, err)
	g, err := guest.Find(context.Background(), im, guest.Options{})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := plan.New(b.Context(), g, plan.Options{Type: plan.OutputKernel}); err != nil {
			b.Fatal(err)
		}
	}
}
