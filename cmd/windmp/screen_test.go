package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/screen"
)

// printedPage is a page as it is printed.
func printedPage(t *testing.T, p *screen.Page) string {
	t.Helper()
	var b bytes.Buffer
	_, err := p.WriteTo(&b)
	require.NoError(t, err)
	return b.String()
}

// Keys stand in one column, words beside it, within the width; a word that does not fit
// stays whole.
func TestKeysAreWrapped(t *testing.T) {
	t.Parallel()
	p := screen.NewPage(screen.Style{Width: 40})
	p.Blank() // nothing stands before it
	p.Key("file", "a file with a name that is too long for the line")
	p.More("%s", strings.Repeat("x", 50))
	p.Blank()
	p.Blank()
	p.Judged("WD101", "warn", "something is wrong")
	p.Verdict("verdict", "WARN", ", %d notes", 2)
	p.Blank() // nothing follows
	assert.Equal(t, `file        a file with a name that is
            too long for the line
            xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx

WD101 warn  something is wrong
verdict     WARN, 2 notes
`, printedPage(t, p))
}

// Colours are those of verdicts and headings, and nothing is as wide as without them.
func TestColors(t *testing.T) {
	t.Parallel()
	p := screen.NewPage(screen.Style{Width: 80, Color: true})
	p.Judged("WD101", "warn", "do not warn")
	p.Verdict("verdict", "OK", "")
	p.Heading("files")
	table := p.Table(0, screen.Column{Name: "verdict", Judged: true}, screen.Column{Name: "file"})
	table.Row("FAIL", "FAIL")
	table.End()
	assert.Equal(t, "WD101 \x1b[33mwarn\x1b[0m  do not warn\n"+
		"verdict     \x1b[1;32mOK\x1b[0m\n"+
		"\n\x1b[1mfiles\x1b[0m\n"+
		"\x1b[1mverdict  file\x1b[0m\n"+
		"\x1b[1;31mFAIL\x1b[0m     FAIL\n", printedPage(t, p))
}

func smallTable(style screen.Style, fit screen.Fit) *screen.Page {
	p := screen.NewPage(style)
	table := p.Table(2, screen.Column{Name: "file", Fit: screen.ClipFront}, screen.Column{Name: "size", Right: true}, screen.Column{Name: "said", Fit: fit})
	table.Row("/a/long/way/to/guest.vmcore", "4.0 MiB", "one two three four")
	table.Row("b", "12 B")
	table.End()
	return p
}

func TestTables(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		style screen.Style
		fit   screen.Fit
		want  string
	}{
		{"all fits", screen.Style{Width: 80, Clip: true}, screen.Clip, `  file                            size  said
  /a/long/way/to/guest.vmcore  4.0 MiB  one two three four
  b                               12 B
`},
		{"shortened on a screen", screen.Style{Width: 45, Clip: true}, screen.Clip, `  file                 size  said
  …to/guest.vmcore  4.0 MiB  one two three f…
  b                    12 B
`},
		{"whole in a file", screen.Style{Width: 40}, screen.Clip, `  file                            size  said
  /a/long/way/to/guest.vmcore  4.0 MiB  one two three four
  b                               12 B
`},
		{"the last column below", screen.Style{Width: 50}, screen.Below, `  file                            size
    said
  /a/long/way/to/guest.vmcore  4.0 MiB
    one two three four
  b                               12 B
`},
		{"the last column wrapped", screen.Style{Width: 50}, screen.Wrap, `  file                            size  said
  /a/long/way/to/guest.vmcore  4.0 MiB  one two
                                        three four
  b                               12 B
`},
		{"others shortened for a word of the wrapped column", screen.Style{Width: 40, Clip: true}, screen.Wrap, `  file                       size  said
  …g/way/to/guest.vmcore  4.0 MiB  one
                                   two
                                   three
                                   four
  b                          12 B
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, printedPage(t, smallTable(tt.style, tt.fit)))
		})
	}
	assert.Empty(t, printedPage(t, func() *screen.Page {
		p := screen.NewPage(screen.Style{Width: 80})
		p.Table(0, screen.Column{Name: "x"}).End()
		return p
	}()), "a table without rows has no headings")
}

// What a guest has in its names does not reach a terminal, and characters that are two
// columns wide are counted as such.
func TestHostileText(t *testing.T) {
	t.Parallel()
	p := screen.NewPage(screen.Style{Width: 40, Clip: true})
	p.Key("evil\x1b", "%s", "a\x1b[31m\nb\u202e")
	table := p.Table(0, screen.Column{Fit: screen.Clip}, screen.Column{})
	table.Row("日本語日本語日本語日本語日本語", "1")
	table.Row("\r\x1b]0;x\a", "2")
	table.End()
	got := printedPage(t, p)
	assert.NotContains(t, got, "\x1b")
	assert.NotContains(t, got, "\r")
	for line := range strings.Lines(got) {
		assert.LessOrEqual(t, uniseg.StringWidth(strings.TrimRight(line, "\n")), 40, line)
	}
}

// What is no terminal has a fixed width and no colours.
func TestStyleOfWhatIsNoTerminal(t *testing.T) {
	t.Parallel()
	assert.Equal(t, screen.Style{Width: 80}, screen.Of(&bytes.Buffer{}))
	f, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, screen.Style{Width: 80}, screen.Of(f))
}
