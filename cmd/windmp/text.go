package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/report"
)

// columns is the width that text output keeps to.
const columns = 80

// text is what a command prints for people: labels in the first column, what is
// said of them beside it. Nothing of the guest reaches a terminal as it is.
type text struct {
	bytes.Buffer
	label int // width of the first column
	color bool
	// machine is whose addresses they are.
	machine *machine.Machine
}

// addressColumn is the width of a column of addresses.
const addressColumn = 18

// address is an address of the guest.
func (t *text) address(va report.Hex) string {
	return fmt.Sprintf("%#0*x", t.guest().Digits(), uint64(va))
}

// physical is a physical address, which may have more digits than others.
func (t *text) physical(pa report.Hex) string {
	const digits = 12
	return fmt.Sprintf("%#0*x", min(digits, t.guest().Digits()), uint64(pa))
}

// guest is the machine whose addresses are printed, the likeliest before it is known.
func (t *text) guest() *machine.Machine { return cmp.Or(t.machine, machineOf("")) }

// newText makes the text for standard output.
func (a *app) newText(label int) *text {
	return &text{label: label, color: a.colored()}
}

// colored tells whether standard output is a terminal that shows colours, and
// its user wants them (https://no-color.org).
func (a *app) colored() bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(a.stdout)
}

// isTerminal tells whether a stream is one.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// print writes the text to standard output.
func (a *app) print(t *text) error {
	_, err := t.WriteTo(a.stdout)
	return err
}

// cell makes text from a guest safe for a terminal and for one line: what is
// not printable becomes an escape, a line break too.
func cell(s string) string {
	q := strconv.QuoteToGraphic(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(q[1 : len(q)-1])
}

// printf prints what is ours, and safe already.
func (t *text) printf(format string, args ...any) { _, _ = fmt.Fprintf(&t.Buffer, format, args...) } // into memory

// row prints a label and what is said of it, wrapped.
func (t *text) row(label, format string, args ...any) {
	t.hang(label, t.label+2, cell(fmt.Sprintf(format, args...)))
}

// more prints a further line of the row above.
func (t *text) more(format string, args ...any) { t.row("", format, args...) }

// hang prints words, wrapped, the lines after the first indented.
func (t *text) hang(label string, indent int, words string) {
	line := fmt.Sprintf("%-*s", indent, label)
	if len(label) >= indent {
		line += " "
	}
	used := utf8.RuneCountInString(line)
	empty := true
	for _, w := range strings.Split(words, " ") {
		n := utf8.RuneCountInString(w)
		if !empty && used+1+n > columns {
			t.WriteString(strings.TrimRight(line, " ") + "\n")
			line, used, empty = strings.Repeat(" ", indent), indent, true
		}
		if !empty {
			line += " "
			used++
		}
		line += w
		used += n
		empty = false
	}
	t.WriteString(strings.TrimRight(line, " ") + "\n")
}

// heading starts a table.
func (t *text) heading(format string, args ...any) {
	t.WriteString("\n")
	t.line(format, args...)
}

// line prints a line of a table as it is, but for what is not printable.
func (t *text) line(format string, args ...any) {
	t.WriteString(strings.TrimRight(cell(fmt.Sprintf(format, args...)), " ") + "\n")
}

// clip shortens a name to a column.
func clip(s string, n int) string {
	s = cell(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// Colours of the verdicts (ECMA-48, SGR).
var verdictColors = map[string]string{"OK": "32", "WARN": "33", "UNKNOWN": "35", "FAIL": "31"}

// verdict pads and colours one of the four words.
func (t *text) verdict(v string) string {
	padded := fmt.Sprintf("%-7s", v)
	if c := verdictColors[v]; t.color && c != "" {
		return "\x1b[1;" + c + "m" + padded + "\x1b[0m"
	}
	return padded
}

// findings prints what is worse than info in full, all of them when asked to, and
// counts the rest.
func (t *text) findings(list []finding.Finding, all bool) {
	rest := 0
	for _, f := range list {
		if !all && (f.Severity == finding.SeverityInfo || f.Severity == finding.SeverityOK) {
			rest++
			continue
		}
		said := withFlags(f.Message)
		if f.Where != "" {
			said += " [" + f.Where + "]"
		}
		t.hang(fmt.Sprintf("  %s %s:", f.ID, f.Severity), len("  WD000 ")+2, cell(said))
		if f.Advice != "" {
			t.hang("", len("  WD000 ")+2, "-> "+cell(withFlags(f.Advice)))
		}
	}
	if rest > 0 {
		t.printf("  %s, see --verbose or --json\n", plural(rest, "note"))
	}
}

// plural counts things.
func plural[T int | uint32](n T, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
