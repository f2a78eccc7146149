package main

import (
	"flag"
	"fmt"
	"html"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var updateScreens = flag.Bool("update-screens", false, "make the pictures in docs/screens anew")

// screens are the commands that docs/screens.md shows, by the names of their pictures.
var screens = []struct{ name, command string }{
	{"check", "windmp check testdata/guest-bsod.vmcore"},
	{"check-many", "windmp check testdata/live-2cpu*.gz"},
	{"convert", "windmp convert testdata/guest-bsod.vmcore guest.dmp"},
	{"convert-fails", "windmp convert testdata/live-2cpu-cut.vmcore.gz guest.dmp"},
	{"convert-triage", "windmp convert --type=triage --dry-run testdata/stack-trap-2cpu.vmcore.gz small.dmp"},
	{"convert-many", "windmp convert --out-dir=dumps testdata/live-2cpu*.vmcore.gz"},
	{"info", "windmp info --modules --processes testdata/guest-bsod.vmcore"},
	{"stack", "windmp stack testdata/stack-trap-2cpu.vmcore.gz"},
	{"symbols", "windmp symbols testdata/guest-bsod.vmcore"},
	{"vtop", "windmp vtop testdata/guest-bsod.vmcore 0xfffff78000000000 --read=32"},
}

// screenWidths are the columns of the terminals.
var screenWidths = []int{80, 120}

// TestScreensAreWhatIsPrinted runs each command in a terminal of each width, as
// scripts/screens does, and holds the pictures to what it shows.
func TestScreensAreWhatIsPrinted(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("pseudo terminals are for Unix")
	}
	page := readDoc(t, "docs/screens.md")
	shown := map[string]bool{}
	for _, s := range screens {
		for _, width := range screenWidths {
			name := fmt.Sprintf("%s-%d.svg", s.name, width)
			shown[name] = true
			assert.Contains(t, page, "(screens/"+name+")")
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(repository, "docs", "screens", name)
				picture := drawScreen(s.command, width, inTerminal(t, s.command, width))
				if *updateScreens {
					require.NoError(t, os.WriteFile(path, []byte(picture), 0o644))
				}
				want, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.Equal(t, string(want), picture, "scripts/screens makes it anew")
			})
		}
	}
	there, err := filepath.Glob(filepath.Join(repository, "docs", "screens", "*"))
	require.NoError(t, err)
	for _, path := range there {
		if filepath.Ext(path) == ".png" { // of a page (cmd/windmp-web)
			assert.Contains(t, page, "(screens/"+filepath.Base(path)+")")
			continue
		}
		assert.True(t, shown[filepath.Base(path)], "%s is of no command", path)
	}
}

// inTerminal is what a command prints on a terminal of that many columns.
func inTerminal(t *testing.T, command string, columns int) string {
	t.Helper()
	dir := guideSession(t)
	end, err := inSession(sessionRun{
		Dir: dir, Args: expanded(t, dir, strings.Fields(command)[1:]), Streams: onTerminal, Columns: columns,
		Vars: map[string]string{"TERM": "xterm-256color", "NO_COLOR": ""},
	})
	require.NoError(t, err)
	return steady(string(end.Stdout))
}

// expanded are words of a command in a folder, with names for patterns, as a shell gives
// them.
func expanded(t *testing.T, dir string, words []string) (list []string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(word, "*") {
			list = append(list, word)
			continue
		}
		names, err := fs.Glob(os.DirFS(dir), word)
		require.NoError(t, err)
		require.NotEmpty(t, names, word)
		list = append(list, names...)
	}
	return list
}

// glyph is a place of a terminal: a character with its colours, as the parameters of SGR.
type glyph struct {
	char  rune
	style string
}

// terminal are the lines that a stream leaves on a screen: a carriage return goes back
// to their beginning, as the bar of progress does, which is gone in the end.
func terminal(stream string) (lines [][]glyph) {
	var line []glyph
	at, style := 0, ""
	for len(stream) > 0 {
		if rest, ok := strings.CutPrefix(stream, "\x1b["); ok {
			i := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
			if i < 0 {
				break
			}
			switch rest[i] {
			case 'm':
				style = strings.TrimPrefix(rest[:i], "0")
			case 'K':
				line = line[:min(at, len(line))]
				if rest[:i] == "2" {
					line = line[:0]
				}
			}
			stream = rest[i+1:]
			continue
		}
		r, n := utf8.DecodeRuneInString(stream)
		stream = stream[n:]
		switch r {
		case '\r':
			at = 0
		case '\n':
			lines = append(lines, line)
			line, at = nil, 0
		default:
			for len(line) <= at {
				line = append(line, glyph{' ', ""})
			}
			line[at] = glyph{r, style}
			at++
		}
	}
	return append(lines, line)
}

// The picture's measures, in pixels: of a character, and around the text.
const (
	charWidth  = 8.4
	lineHeight = 19
	margin     = 16
)

// inks are the colours of a dark terminal, by the parameters of SGR.
var inks = map[string]string{
	"":     "#d4d4d4",
	"1":    "#ffffff",
	"1;31": "#ff6b6b", "31": "#ff6b6b",
	"1;32": "#5fd787",
	"1;33": "#ffd75f", "33": "#ffd75f",
	"1;35": "#d7a0ff", "35": "#d7a0ff",
}

// drawScreen draws what a command printed as SVG, with the text as text.
func drawScreen(command string, columns int, printed string) string {
	lines := terminal(strings.TrimRight(printed, "\r\n"))
	prompt := []glyph{{'$', ""}, {' ', ""}}
	for _, r := range command {
		prompt = append(prompt, glyph{r, "1"})
	}
	lines = append([][]glyph{prompt}, lines...)
	width, height := float64(columns)*charWidth+2*margin, len(lines)*lineHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s, %d columns</title>\n", html.EscapeString(command), columns)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="#1e1e1e"/>`+"\n")
	for i, line := range lines {
		y := margin + i*lineHeight + lineHeight*3/4
		for from := 0; from < len(line); {
			to := from + 1
			for to < len(line) && line[to].style == line[from].style {
				to++
			}
			drawRun(&b, line[from:to], from, y)
			from = to
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// drawRun draws characters of one colour, from a column on. Their width is stated, so
// that columns are aligned in any font.
func drawRun(b *strings.Builder, run []glyph, column, y int) {
	var text strings.Builder
	for _, g := range run {
		text.WriteRune(g.char)
	}
	shown := strings.TrimRight(text.String(), " ")
	if shown == "" {
		return
	}
	weight := ""
	if style := run[0].style; style == "1" || strings.HasPrefix(style, "1;") {
		weight = ` font-weight="bold"`
	}
	fmt.Fprintf(b, `<text xml:space="preserve" x="%.1f" y="%d" textLength="%.1f" lengthAdjust="spacingAndGlyphs" fill="%s"%s>%s</text>`+"\n",
		margin+float64(column)*charWidth, y, float64(utf8.RuneCountInString(shown))*charWidth, inks[run[0].style], weight, html.EscapeString(shown))
}

// What a bar leaves on a terminal is nothing, and colours begin and end.
func TestTerminal(t *testing.T) {
	t.Parallel()
	lines := terminal("write 50%\r         \rbad \x1b[1;31mFAIL\x1b[0m\r\nx\x1b[2K\r\ny")
	require.Len(t, lines, 3)
	text := func(line []glyph) string {
		var b strings.Builder
		for _, g := range line {
			b.WriteRune(g.char)
		}
		return strings.TrimRight(b.String(), " ")
	}
	assert.Equal(t, []string{"bad FAIL", "", "y"}, []string{text(lines[0]), text(lines[1]), text(lines[2])})
	assert.Equal(t, "1;31", lines[0][4].style)
	assert.Empty(t, lines[0][0].style)
	assert.Contains(t, drawScreen("windmp <x>", 80, "\x1b[31mfail\x1b[0m & more"), `fill="#ff6b6b">fail</text>`)
}
