package guestpages_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/klauspost/compress/zlib"

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
	if !bytes.Equal(part, all[17*guestpages.Size:20*guestpages.Size]) {
		t.Error("pages are others in a block that begins elsewhere")
	}

	seen := map[string]bool{}
	zeros := 0
	var packed bytes.Buffer
	w, err := zlib.NewWriterLevel(&packed, zlib.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for page := range slices.Chunk(all, guestpages.Size) {
		if len(bytes.Trim(page, "\x00")) == 0 {
			zeros++
			continue
		}
		if seen[string(page)] {
			t.Error("a page is there twice")
		}
		seen[string(page)] = true
		_, _ = w.Write(page) // into memory
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if zeros < pages*3/20 || zeros > pages*7/20 {
		t.Errorf("%d pages of %d are zeros", zeros, pages)
	}
	if n := packed.Len(); n < len(all)/4 || n > len(all)*11/20 {
		t.Errorf("%d bytes pack to %d", len(all), n)
	}
}
