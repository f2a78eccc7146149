package textreport

import (
	"bytes"
	"strings"
	"testing"

	"windmp/convert/inspect"
)

// What is the matter with hundreds of images, as of a small dump, is said once, and with
// a few beside each.
func TestUnknownSymbolsAreSaidOnce(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{
		oftenFrom - 1: strings.Repeat("not in the file;", oftenFrom-1) + "damaged;",
		200:           "damaged;no symbols are known of 200 of 202 images: of each, not in the file;",
	} {
		r := &inspect.SymbolsReport{Modules: make([]inspect.SymbolModule, n+2)}
		for i := range n {
			r.Modules[i].Error = "not in the file"
		}
		r.Modules[n].Error = "damaged"
		r.Modules[n+1].Error, r.Modules[n+1].Readable = "not in the file", true // its name alone
		var out bytes.Buffer
		text := New(&out, func(s string) string { return s })
		Symbols(text, r)
		if _, err := text.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		got := ""
		for line := range strings.Lines(out.String()) {
			line, note := strings.CutPrefix(strings.TrimSpace(line), "unreadable: ")
			if note || strings.HasPrefix(line, "no symbols") {
				got += line + ";"
			}
		}
		if got != want {
			t.Errorf("of %d images:\n%s", n, got)
		}
	}
}
