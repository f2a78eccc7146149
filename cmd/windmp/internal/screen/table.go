package screen

import (
	"slices"
	"strings"

	"github.com/rivo/uniseg"

	"windmp/internal/binio"
)

// Fit says what a column does when the table is wider than the screen.
type Fit int

const (
	// Whole stays as it is.
	Whole Fit = iota
	// Clip loses its end, where the style allows it.
	Clip
	// ClipFront loses its beginning, likewise: the end of a path says more.
	ClipFront
	// Below goes to a line of its own below its row. Only a last column can.
	Below
	// Wrap goes on below its row, in its column. Only a last column can.
	Wrap
)

// Column is one of a table.
type Column struct {
	// Name is its heading.
	Name string
	// Right aligns numbers.
	Right bool
	Fit   Fit
	// Judged is a column of verdicts, in their colours.
	Judged bool
}

// Table collects rows, and prints them when all are known.
type Table struct {
	page    *Page
	indent  int
	columns []Column
	rows    [][]string
}

// gap is between two columns, and the indent of what goes below a row. leastClip is
// what is left of a column that is shortened.
const (
	gap       = 2
	leastClip = 12
)

// Table begins a table, indented by some columns. It has a line of headings if a column
// has a name.
func (p *Page) Table(indent int, columns ...Column) *Table {
	return &Table{page: p, indent: indent, columns: columns}
}

// Row adds a row. Missing cells at its end are empty.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.columns))
	for i, c := range cells {
		row[i] = binio.Visible(c)
	}
	t.rows = append(t.rows, row)
}

// End prints the table; nothing if it has no rows.
func (t *Table) End() {
	if len(t.rows) == 0 {
		return
	}
	widths := t.widths()
	below := t.fit(widths)
	if slices.ContainsFunc(t.columns, func(c Column) bool { return c.Name != "" }) {
		names := make([]string, len(t.columns))
		for i, c := range t.columns {
			names[i] = c.Name
		}
		t.print(names, widths, below, true)
	}
	for _, row := range t.rows {
		t.print(row, widths, below, false)
	}
}

// widths are those of the longest cells.
func (t *Table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = uniseg.StringWidth(c.Name)
		for _, row := range t.rows {
			widths[i] = max(widths[i], uniseg.StringWidth(row[i]))
		}
	}
	return widths
}

// longestWord is the width of the longest word of a column, which can't be wrapped.
func (t *Table) longestWord(column int) int {
	width := 0
	for _, row := range t.rows {
		for word := range strings.SplitSeq(row[column], " ") {
			width = max(width, uniseg.StringWidth(word))
		}
	}
	return width
}

// fit makes columns narrower until the table fits, as far as they can be, and tells
// whether the last one goes below its rows.
func (t *Table) fit(widths []int) (below bool) {
	over := t.indent + gap*(len(widths)-1) - t.page.style.Width
	for _, w := range widths {
		over += w
	}
	switch last := len(widths) - 1; {
	case over <= 0:
	case t.columns[last].Fit == Below:
		below = true
		over -= widths[last] + gap
	case t.columns[last].Fit == Wrap:
		over -= widths[last] - t.longestWord(last)
	}
	for over > 0 && t.page.style.Clip {
		widest := -1
		for i, c := range t.columns {
			if (c.Fit == Clip || c.Fit == ClipFront) && widths[i] > leastClip && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		over--
	}
	return below
}

// print prints a row.
func (t *Table) print(row []string, widths []int, below, heading bool) {
	p := t.page
	last := len(row) - 1
	before, at := strings.Repeat(" ", t.indent), t.indent
	for i := range last {
		before += t.cell(row[i], i, widths[i]) + strings.Repeat(" ", gap)
		at += widths[i] + gap
	}
	var lines []string
	switch {
	case below:
		lines = append(lines, before)
		if row[last] != "" {
			lines = append(lines, strings.Repeat(" ", t.indent+gap)+row[last])
		}
	case t.columns[last].Fit == Wrap:
		lines = p.wrap("", at, row[last])
		lines[0] = before + strings.TrimLeft(lines[0], " ")
	default:
		lines = append(lines, before+t.cell(row[last], last, widths[last]))
	}
	for _, s := range lines {
		s = strings.TrimRight(s, " ")
		if heading {
			s = p.paint(strong, s)
		}
		p.line(s)
	}
}

// cell is a text of a column, as wide as that is.
func (t *Table) cell(text string, i, width int) string {
	c := t.columns[i]
	text = shorten(text, width, c.Fit)
	space := strings.Repeat(" ", max(0, width-uniseg.StringWidth(text)))
	if tone, ok := tones[text]; ok && c.Judged {
		text = t.page.paint(tone, text)
	}
	if c.Right {
		return space + text
	}
	return text + space
}

// shorten cuts a text to a width, and marks where.
func shorten(s string, width int, how Fit) string {
	if uniseg.StringWidth(s) <= width || how != Clip && how != ClipFront {
		return s
	}
	var clusters []string
	for g := uniseg.NewGraphemes(s); g.Next(); {
		clusters = append(clusters, g.Str())
	}
	const mark = "…"
	for len(clusters) > 0 {
		if how == ClipFront {
			clusters = clusters[1:]
			if out := mark + strings.Join(clusters, ""); uniseg.StringWidth(out) <= width {
				return out
			}
			continue
		}
		clusters = clusters[:len(clusters)-1]
		if out := strings.Join(clusters, "") + mark; uniseg.StringWidth(out) <= width {
			return out
		}
	}
	return mark
}
