package plan

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestOverlay holds the overlay against memory that is edited byte by byte.
func TestOverlay(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		const size = 500
		memory := make([]byte, size)
		for i := range memory {
			memory[i] = byte(rng.Uint32())
		}
		var edits []Edit
		for range rng.IntN(8) {
			at := uint64(rng.IntN(size - 40))
			edits = append(edits, Edit{PA: at, Bytes: bytes.Repeat([]byte{byte(rng.Uint32())}, 1+rng.IntN(40))})
		}
		o := newOverlay(edits)
		want := bytes.Clone(memory)
		for _, e := range o.edits {
			copy(want[e.PA:], e.Bytes)
		}
		from := rng.IntN(size)
		got := bytes.Clone(memory[from : from+rng.IntN(size-from)+1])
		o.apply(got, uint64(from))
		assert.Equal(t, want[from:from+len(got)], got)
	}
}
