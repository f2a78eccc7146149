package guestpages_test

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestpages"
)

// TestFill: the same pages each time, wherever a block begins, hardly any twice,
// and they pack to a third or so.
func TestFill(t *testing.T) {
	t.Parallel()
	const pages = 2048
	all := make([]byte, pages*guestpages.Size)
	guestpages.Fill(all, 1000)
	part := make([]byte, 3*guestpages.Size)
	guestpages.Fill(part, 1017)
	assert.True(t, bytes.Equal(part, all[17*guestpages.Size:20*guestpages.Size]))

	seen := map[string]bool{}
	zeros := 0
	var packed bytes.Buffer
	w, err := zlib.NewWriterLevel(&packed, zlib.BestSpeed)
	require.NoError(t, err)
	for at := 0; at < len(all); at += guestpages.Size {
		page := all[at:][:guestpages.Size]
		if bytes.Count(page, []byte{0}) == len(page) {
			zeros++
			continue
		}
		assert.False(t, seen[string(page)], "page at %#x", at)
		seen[string(page)] = true
		_, err := w.Write(page)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	assert.InDelta(t, pages/4, zeros, pages/10)
	assert.InDelta(t, 0.4, float64(packed.Len())/float64(len(all)), 0.15)
}
