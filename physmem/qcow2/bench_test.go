package qcow2_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

// saved is an image with a snapshot whose state is in clusters of 4 KiB, scattered.
func saved() []byte {
	return image{version: 3, clusterBits: 12, diskSize: 1 << 20, snapshots: one(stream())}.build()
}

// BenchmarkOpen finds the clusters of the state, and indexes the stream in them.
func BenchmarkOpen(b *testing.B) {
	file := saved()
	for b.Loop() {
		if _, err := physmemtest.Open(file); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	m, err := physmemtest.Open(saved())
	require.NoError(b, err)
	fixture.ReadBlocks(b, m)
}
