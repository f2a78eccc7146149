package xen_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// large are a guest's core and its saved state, of so many pages of memory.
func large(pages uint64) map[string][]byte {
	x := &coretest.Xen{CPUs: guest().CPUs, Batch: 1024}
	memory := fixture.Pattern(0, pages*physmem.PageSize)
	for i := range pages {
		x.Pages = append(x.Pages, coretest.XenPage{Frame: i, Data: memory[i*physmem.PageSize:][:physmem.PageSize]})
	}
	return map[string][]byte{"core": x.Core(), "saved": x.Save()}
}

// BenchmarkOpen reads the numbers of all pages, which a core has in one table and a
// saved state between the pages.
func BenchmarkOpen(b *testing.B) {
	for name, file := range large(16 << 20 / physmem.PageSize) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := physmemtest.Open(file); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for name, file := range large(16 << 20 / physmem.PageSize) {
		b.Run(name, func(b *testing.B) {
			m, err := physmemtest.Open(file)
			require.NoError(b, err)
			fixture.ReadBlocks(b, m)
		})
	}
}
