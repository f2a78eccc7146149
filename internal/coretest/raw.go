package coretest

import (
	"bytes"
	"testing"

	"windmp/physmem"
)

// Raw returns the memory of the image as a flat file, up to its last byte, and
// the holes that were left out of it.
func Raw(tb testing.TB, m *physmem.Image) (file []byte, holes []physmem.Range) {
	tb.Helper()
	ranges := m.Ranges()
	last := ranges[len(ranges)-1]
	holes = m.Missing(physmem.Range{Size: last.End()})
	return bytes.Join(Memory(tb, m), nil), holes
}
