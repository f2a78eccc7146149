package convert_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/internal/guestsim"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

// fuzzGuests are guests without a header, found in all ways there are.
var fuzzGuests = []guestsim.Options{
	{CPUs: 2, BugCheck: crash, Encoded: true},
	{Shadow: true, UserMode: []int{0}, PCID: true},
	{Encoded: true, File: noCPUs},
	{LA57: true, LowStub: true, File: noCPUs},
	{NoSelfMap: true, Build: 9600, File: noCPUs},
	{SoftwareBits: true, VGA: true, File: guestsim.FileOptions{Paging: true}},
}

// fuzzGuests32 are 32-bit guests without a header: the part of memory that has all
// structures, with vCPUs and without.
func fuzzGuests32(tb testing.TB) [][]byte {
	tb.Helper()
	var list [][]byte
	for _, name := range []string{"x86-bsod-2cpu", "x86-nopae-live-2cpu"} {
		b := newBare32(tb, name)
		b.keep(physmem.Range{Start: 0x200000, Size: 0x100000})
		list = append(list, b.file())
		b.cpus = nil
		list = append(list, b.file())
	}
	return list
}

// FuzzExamineWithoutNote overwrites words in memory and notes of a guest without
// a header: each 8 bytes of pokes are an offset, a length and a value. Whatever a
// guest holds, it is converted to a sound dump or refused with a finding.
func FuzzExamineWithoutNote(f *testing.F) {
	cores := make([][]byte, 0, len(fuzzGuests))
	for i, opt := range fuzzGuests {
		opt.File.NoGuestNote = true
		cores = append(cores, guestsim.New(opt).ELF())
		f.Add([]byte{}, uint8(i), uint64(0))
		f.Add([]byte{0xc0, 0x11, 0, 4, 0xff, 0xff, 0xff, 0xff, 0x10, 0x12, 0, 8, 1, 2, 3, 4}, uint8(i), uint64(guestsim.KernBase))
	}
	for i, core := range fuzzGuests32(f) {
		which := uint8(len(cores))
		cores = append(cores, core)
		f.Add([]byte{byte(i), 0x12, 0, 8, 1, 2, 3, 4}, which, uint64(nt32))
	}
	f.Fuzz(func(t *testing.T, pokes []byte, which uint8, given uint64) {
		core := testheap.Clone(t, cores[int(which)%len(cores)])
		for ; len(pokes) >= 8; pokes = pokes[8:] {
			at := (int(pokes[0]) | int(pokes[1])<<8 | int(pokes[2])<<16) % len(core)
			copy(core[at:], pokes[4:4+1+pokes[3]%4])
		}
		checkConversion(t, core, which)
		im, err := physmemtest.Open(core)
		if err != nil {
			return
		}
		for _, opt := range []guest.Options{{DTB: given}, {KernelBase: given}, {KDBG: given}} {
			g, err := guest.Find(context.Background(), im, opt)
			require.NotNil(t, g)
			var refused *finding.RefusedError
			require.True(t, err == nil || errors.As(err, &refused), "%v", err)
			require.True(t, err != nil || g.Kernel() != nil && g.Header() != nil && len(g.Runs()) > 0)
		}
	})
}

// BenchmarkExamineWithoutNote is the cost of finding a guest by its vCPUs, and in
// memory alone.
func BenchmarkExamineWithoutNote(b *testing.B) {
	for name, file := range map[string]guestsim.FileOptions{"vcpus": {}, "memory": noCPUs} {
		file.NoGuestNote = true
		g := guestsim.New(guestsim.Options{
			Encoded: true, File: file,
			RAM: []guestsim.Range{{Start: 0, Size: 0x80000}, {Start: 0x100000, Size: 32 << 20}},
		})
		// All of the kernel's image is in memory, as it is in Windows.
		g.Map(guestsim.KernBase, uint64(g.ImageSize))
		for va := uint64(guestsim.KernBase); va < guestsim.KernBase+uint64(g.ImageSize); va += 0x1000 {
			g.Write64(va+0xff0, va)
		}
		core := g.ELF()
		b.Run(name, func(b *testing.B) {
			im, err := physmemtest.Open(core)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := guest.Find(context.Background(), im, guest.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
