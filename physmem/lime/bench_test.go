package lime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// pieces is a file of so many ranges of n bytes.
func pieces(count, n uint64) (file []byte) {
	for i := range count {
		file = put(file, 2*i*n, n)
	}
	return file
}

// BenchmarkOpen: the headers of the ranges lie apart, and each is read.
func BenchmarkOpen(b *testing.B) {
	file := pieces(1000, 0x1000)
	for b.Loop() {
		if _, err := physmemtest.Open(file); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	m, err := physmemtest.Open(pieces(4, 4<<20))
	require.NoError(b, err)
	fixture.ReadBlocks(b, m)
}
