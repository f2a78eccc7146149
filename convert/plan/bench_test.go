package plan

import (
	"bufio"
	"io"
	"testing"

	"windmp/winhdr"
)

// terabyteRuns are the pages of 1 TiB: every second stretch of 16 pages, or all.
func terabyteRuns(scattered bool) []winhdr.PhysicalMemoryRun64 {
	const pages, stretch = 1 << 28, 16
	if !scattered {
		return []winhdr.PhysicalMemoryRun64{{PageCount: pages}}
	}
	runs := make([]winhdr.PhysicalMemoryRun64, 0, pages/stretch/2)
	for at := uint64(0); at < pages; at += 2 * stretch {
		runs = append(runs, winhdr.PhysicalMemoryRun64{BasePage: at + 3, PageCount: stretch})
	}
	return runs
}

// BenchmarkBitmap writes the bitmap of a guest of 1 TiB.
func BenchmarkBitmap(b *testing.B) {
	for name, scattered := range map[string]bool{"one run": false, "8 million runs": true} {
		b.Run(name, func(b *testing.B) {
			m := memoryPlan{kind: winhdr.DumpTypeBitmapFull, runs: terabyteRuns(scattered), firstPage: 1<<25 + 0x4000}
			w := bufio.NewWriterSize(io.Discard, 64<<10)
			b.SetBytes(1 << 25)
			b.ReportAllocs()
			for b.Loop() {
				if err := m.writeBitmap(w, 0x2000); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPageSet puts a million scattered pages of a guest of 64 GiB into a set,
// and goes through it.
func BenchmarkPageSet(b *testing.B) {
	const pages, step = 1 << 24, 0x9e3779b1
	for b.Loop() {
		s := newPageSet([]winhdr.PhysicalMemoryRun64{{PageCount: pages}})
		at := uint64(0)
		for range 1 << 20 {
			at = (at + step) % pages
			s.add(at)
		}
		n := uint64(0)
		for r := range s.all() {
			n += r.PageCount
		}
		if n != s.count {
			b.Fatal(n)
		}
	}
}
