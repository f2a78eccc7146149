// Package screen is how windmp looks to people: keys with what is said of them, tables
// with headings, verdicts in colour, all of it kept to the width of the screen. Every
// command prints through it, so that the same thing looks the same everywhere. It knows
// nothing of dumps.
//
// Text from a guest may be hostile: what a [Page] or a [Table] is given comes out with
// every character that is not printable as an escape.
package screen

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rivo/uniseg"
	"golang.org/x/term"

	"windmp/internal/binio"
)

// The columns that text is wrapped to: where nobody says how wide the screen is, and the
// least and the most of a screen that are used. Longer lines than the most are hard to
// read.
const (
	defaultWidth = 80
	leastWidth   = 40
	mostWidth    = 160
)

// KeyWidth is the width of the first column, in which keys stand.
const KeyWidth = 12

// Style is what the reader's screen can show.
type Style struct {
	// Width is in columns.
	Width int
	// Color is set for a screen that shows colours to somebody who wants them.
	Color bool
	// Clip lets tables shorten what does not fit, as on a screen. What goes to a file or
	// to another program stays whole.
	Clip bool
}

// Of is the style for what w leads to. NO_COLOR, as https://no-color.org has it, and a
// terminal that is dumb are heeded.
func Of(w io.Writer) Style {
	s := Style{Width: defaultWidth}
	f, ok := w.(*os.File)
	if !ok || !IsTerminal(f) {
		return s
	}
	s.Clip = true
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		s.Width = min(max(n, leastWidth), mostWidth)
	}
	s.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && showsColors(f)
	return s
}

// IsTerminal tells whether a stream is one.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Page is what a command prints. The zero value is of no use: see [NewPage].
type Page struct {
	style Style
	text  bytes.Buffer
	blank bool // an empty line is due before the next one
}

// NewPage makes an empty page.
func NewPage(s Style) *Page { return &Page{style: s} }

// WriteTo prints the page, and empties it.
func (p *Page) WriteTo(w io.Writer) (int64, error) { return p.text.WriteTo(w) }

// Len is how many bytes are on the page.
func (p *Page) Len() int { return p.text.Len() }

// Key prints a key and what is said of it, wrapped beside it.
func (p *Page) Key(key, format string, args ...any) {
	p.hang(key, "", KeyWidth, fmt.Sprintf(format, args...))
}

// More says more of the last key, on a line of its own.
func (p *Page) More(format string, args ...any) { p.Key("", format, args...) }

// Judged prints a key of which the last word is a verdict or a severity, in its
// colour.
func (p *Page) Judged(key, word, format string, args ...any) {
	p.hang(strings.TrimLeft(key+" "+word, " "), word, KeyWidth, fmt.Sprintf(format, args...))
}

// Verdict prints the key of a verdict, the verdict in its colour, and what is said of
// it.
func (p *Page) Verdict(key, word, format string, args ...any) {
	p.hang(key, word, KeyWidth, word+fmt.Sprintf(format, args...))
}

// Note prints a sentence, wrapped, indented by some columns.
func (p *Page) Note(indent int, format string, args ...any) {
	p.hang("", "", indent, fmt.Sprintf(format, args...))
}

// Say prints sentences behind a label, each line of them wrapped.
func (p *Page) Say(label, words string) {
	for line := range strings.SplitSeq(words, "\n") {
		p.hang(label, "", uniseg.StringWidth(label)+1, line)
		label = ""
	}
}

// Heading prints what follows is about, with an empty line in front of it.
func (p *Page) Heading(format string, args ...any) {
	p.Blank()
	for _, line := range p.wrap("", 0, binio.Visible(fmt.Sprintf(format, args...))) {
		p.line(p.paint(strong, line))
	}
}

// Line prints a line that is not wrapped.
func (p *Page) Line(format string, args ...any) { p.line(binio.Visible(fmt.Sprintf(format, args...))) }

// Blank prints an empty line, if something stands before it and something follows.
func (p *Page) Blank() { p.blank = p.text.Len() > 0 }

// hang prints words beside a key, wrapped, and paints the first place of colored that
// is not before the end of the key, or in it.
func (p *Page) hang(key, colored string, indent int, words string) {
	lines := p.wrap(binio.Visible(key), indent, binio.Visible(words))
	if t, ok := tones[colored]; ok {
		if before, after, found := strings.Cut(lines[0], colored); found {
			lines[0] = before + p.paint(t, colored) + after
		}
	}
	for _, line := range lines {
		p.line(line)
	}
}

// line prints a line without what can't be seen at its end.
func (p *Page) line(s string) {
	if p.blank {
		p.text.WriteByte('\n')
		p.blank = false
	}
	p.text.WriteString(strings.TrimRight(s, " ") + "\n")
}

// wrap breaks words into lines of the page's width: the first begins with the key, the
// others are indented. A word that is longer stays whole, so that it can be copied.
func (p *Page) wrap(key string, indent int, words string) []string {
	line := pad(key, indent)
	if uniseg.StringWidth(key) >= indent && key != "" {
		line += " "
	}
	var lines []string
	used, empty := uniseg.StringWidth(line), true
	for word := range strings.SplitSeq(words, " ") {
		n := uniseg.StringWidth(word)
		if !empty && used+1+n > p.style.Width {
			lines = append(lines, line)
			line, used, empty = strings.Repeat(" ", indent), indent, true
		}
		if !empty {
			line += " "
			used++
		}
		line += word
		used += n
		empty = false
	}
	return append(lines, line)
}

// pad fills a text up with spaces to a width.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-uniseg.StringWidth(s)))
}

// tone is a colour, as parameters of SGR (ECMA-48).
type tone string

const strong tone = "1"

// tones are those of the words that are coloured.
var tones = map[string]tone{
	"OK": "1;32", "WARN": "1;33", "UNKNOWN": "1;35", "FAIL": "1;31",
	"warn": "33", "fail": "31", "unknown": "35",
}

// paint gives a text a colour, where the page has colours.
func (p *Page) paint(t tone, s string) string {
	if !p.style.Color {
		return s
	}
	return "\x1b[" + string(t) + "m" + s + "\x1b[0m"
}
