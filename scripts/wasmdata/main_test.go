package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// module is one with some other section before its data.
func module(list ...segment) []byte {
	m := appendBytes(append([]byte(header), 0), []byte("\x04name..."))
	return appendBytes(append(m, sectionData), encode(list))
}

// memory is what a module's segments make of it.
func memory(t *testing.T, m []byte) (mem []byte, count int) {
	t.Helper()
	r := reader{rest: m[len(header):]}
	for r.err == nil && len(r.rest) > 0 {
		kind, body := r.byte(), r.bytes()
		if kind != sectionData {
			continue
		}
		list, err := segments(body)
		require.NoError(t, err)
		for _, s := range list {
			if need := int(s.offset) + len(s.data); need > len(mem) {
				mem = append(mem, make([]byte, need-len(mem))...)
			}
			copy(mem[s.offset:], s.data)
		}
		count = len(list)
	}
	require.NoError(t, r.err)
	return mem, count
}

// TestJoin: memory is what it was, in fewer segments; what is far away or overlaps stays by
// itself, and so do all other sections.
func TestJoin(t *testing.T) {
	t.Parallel()
	data := func(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }
	in := module(
		segment{0x1000, data(1, 100)}, segment{0x1000 + 108, data(2, 70)}, segment{0x1000 + 178, data(3, 1)}, // joined
		segment{0x9000, data(4, 300)},      // far away
		segment{0x9000 + 10, data(5, 300)}, // over the one before
	)
	out, err := join(in)
	require.NoError(t, err)
	want, before := memory(t, in)
	got, after := memory(t, out)
	assert.Equal(t, want, got)
	assert.Equal(t, []int{5, 3}, []int{before, after})
	assert.Equal(t, in[:len(header)+10], out[:len(header)+10], "the other section")
	again, err := join(out)
	require.NoError(t, err)
	assert.Equal(t, out, again)
}

// TestNumbers: signed numbers are read as they are written.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{0, 1, 63, 64, 127, 128, 1 << 20, 1<<31 - 1, -1, -64, -65, -1 << 31, 1<<63 - 1, -1 << 63} {
		r := reader{rest: appendSigned(nil, n)}
		assert.Equal(t, n, r.signed())
		require.NoError(t, r.err)
		assert.Empty(t, r.rest)
	}
}

// TestRefused: what is no such module is an error, and never a module.
func TestRefused(t *testing.T) {
	t.Parallel()
	good := module(segment{0, []byte("data")})
	for n := range good {
		if _, err := join(good[:n]); n != len(header) && n != len(header)+10 { // where a module may end
			require.Error(t, err, n)
		}
	}
	passive := appendBytes(append([]byte(header), sectionData), []byte{1, 1, 1, 'x'})
	_, err := join(passive)
	require.ErrorContains(t, err, "fixed offset")
}
