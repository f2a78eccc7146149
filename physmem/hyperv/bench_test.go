package hyperv_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/internal/guestpages"
	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

// pages is memory whose pages are like those of a guest.
type pages struct{ size uint64 }

func (p pages) Ranges() []physmem.Range { return []physmem.Range{{Size: p.size}} }

func (p pages) ReadAt(b []byte, pa int64) (int, error) {
	guestpages.Fill(b, uint64(pa)/physmem.PageSize)
	return len(b), nil
}

// benchImage is 32 MiB of memory in a saved state.
func benchImage(b *testing.B, pack bool) *physmem.Image {
	b.Helper()
	_, _, cpus := guest(b)
	im := physmem.NewImage("test", physmem.NewSource("", io.NewSectionReader(nil, 0, 0), 0), &physmem.Container{Memory: pages{32 << 20}})
	m, err := physmemtest.Open(coretest.HyperV{Pack: pack}.Write(b, im, cpus))
	require.NoError(b, err)
	return m
}

// BenchmarkHyperVRead reads blocks of the size that a conversion reads, in as many
// goroutines as there are processors.
func BenchmarkHyperVRead(b *testing.B) {
	for name, pack := range map[string]bool{"plain": false, "compressed": true} {
		b.Run(name, func(b *testing.B) {
			m := benchImage(b, pack)
			const size = 256 << 10
			b.SetBytes(size)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				p := make([]byte, size)
				for at := int64(0); pb.Next(); at = (at + size) & (32<<20 - 1) {
					if _, err := m.ReadAt(p, at); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkHyperVSmall reads 8 bytes of a few pages in turn, as a walk of page tables
// does.
func BenchmarkHyperVSmall(b *testing.B) {
	m := benchImage(b, true)
	var p [8]byte
	b.ResetTimer()
	for i := range b.N {
		if _, err := m.ReadAt(p[:], int64(i)%8*0x301000&(32<<20-1)); err != nil {
			b.Fatal(err)
		}
	}
}
