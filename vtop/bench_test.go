package vtop

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchSpace is 32 MiB of virtual memory in 4 KiB pages, over a file as an
// image would be, or over memory alone.
func benchSpace(b *testing.B, onDisk bool) (s *Space, va VA, pages int) {
	b.Helper()
	va, pages = 0xfffff80000000000, 8192
	g := newGuestBelow(X64, 0x1000000)
	for i := range pages {
		g.mapPage(va+VA(i)<<12, 0x1000000+PA(i*40503%pages)<<12, size4K, 0)
	}
	image := make([]byte, 0x1000000+pages<<12)
	for pa, page := range g.pages {
		copy(image[pa:], page[:])
	}
	if !onDisk {
		return NewSpace(bytesAt(image), uint64(g.root), X64), va, pages
	}
	name := filepath.Join(b.TempDir(), "image")
	require.NoError(b, os.WriteFile(name, image, 0o600))
	file, err := os.Open(name)
	require.NoError(b, err)
	b.Cleanup(func() { file.Close() })
	return NewSpace(file, uint64(g.root), X64), va, pages
}

type bytesAt []byte

func (m bytesAt) ReadAt(p []byte, off int64) (int, error) { return copy(p, m[off:]), nil }

func BenchmarkTranslate(b *testing.B) {
	for name, onDisk := range map[string]bool{"memory": false, "file": true} {
		s, va, pages := benchSpace(b, onDisk)
		b.Run(name+"/same page", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Translate(va + 0x1234); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/page after page", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Translate(va + VA(i%pages)<<12); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadVirtual(b *testing.B) {
	for name, onDisk := range map[string]bool{"memory": false, "file": true} {
		s, va, _ := benchSpace(b, onDisk)
		for size, length := range map[string]int{"8 B": 8, "CONTEXT": 0x4d0, "1 MiB": 1 << 20} {
			b.Run(name+"/"+size, func(b *testing.B) {
				p := make([]byte, length)
				b.SetBytes(int64(length))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.ReadVirtual(p, va+0xf00); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
