package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/textreport"
	"windmp/convert/inspect"
)

// TestComplainUnreadable: the lists for machines name some of the images that they leave
// out and count the others, of which a small dump has hundreds.
func TestComplainUnreadable(t *testing.T) {
	t.Parallel()
	for n, lines := range map[int]int{0: 0, namedUnreadable: namedUnreadable, 200: namedUnreadable + 1} {
		var errs bytes.Buffer
		r := &inspect.SymbolsReport{Modules: make([]inspect.SymbolModule, n+1)}
		r.Modules[0].Readable = true
		for i := range n {
			r.Modules[i+1].Name = fmt.Sprintf("a%d.sys", i)
		}
		(&app{stderr: &errs}).complainUnreadable(r)
		assert.Equal(t, lines, strings.Count(errs.String(), "\n"), errs.String())
		assert.Equal(t, n > namedUnreadable, strings.Contains(errs.String(), "192 more of 201 images"), errs.String())
	}
}

// TestUnknownSymbolsAreSaidOnce: what is the matter with eight images or hundreds, as of a
// small dump, is said once, and with fewer beside each.
func TestUnknownSymbolsAreSaidOnce(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{
		7:   strings.Repeat("not in the file;", 7) + "damaged;",
		8:   "damaged;no symbols are known of 8 of 10 images: of each, not in the file;",
		200: "damaged;no symbols are known of 200 of 202 images: of each, not in the file;",
	} {
		r := &inspect.SymbolsReport{Modules: make([]inspect.SymbolModule, n+2)}
		for i := range n {
			r.Modules[i].Error = "not in the file"
		}
		r.Modules[n].Error = "damaged"
		r.Modules[n+1].Error, r.Modules[n+1].Readable = "not in the file", true // its name alone
		var out bytes.Buffer
		text := textreport.New(&out, func(s string) string { return s })
		textreport.Symbols(text, r)
		_, err := text.WriteTo(&out)
		require.NoError(t, err)
		var got strings.Builder
		for line := range strings.Lines(out.String()) {
			line, note := strings.CutPrefix(strings.TrimSpace(line), "unreadable: ")
			if note || strings.HasPrefix(line, "no symbols") {
				got.WriteString(line + ";")
			}
		}
		assert.Equal(t, want, got.String(), "of %d images", n)
	}
}
