package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// text is what a command prints for people: a page, and the words for what is on it.
type text struct {
	*screen.Page
	// machine is whose addresses they are.
	machine *machine.Machine
}

// newText makes a text for a stream.
func newText(w io.Writer) *text { return &text{Page: screen.NewPage(screen.Of(w))} }

// print writes a text to standard output.
func (a *app) print(t *text) error {
	_, err := t.WriteTo(a.stdout)
	return err
}

// address is an address of the guest, with all its digits: those in a column are
// aligned.
func (t *text) address(va report.Hex) string {
	return fmt.Sprintf("%#0*x", t.guest().Digits(), uint64(va))
}

// physical is a physical address, likewise.
func (t *text) physical(pa report.Hex) string {
	const digits = 12
	return fmt.Sprintf("%#0*x", min(digits, t.guest().Digits()), uint64(pa))
}

// guest is the machine whose addresses are printed, the likeliest before it is known.
func (t *text) guest() *machine.Machine { return cmp.Or(t.machine, machine.OrFirst("")) }

// list joins the parts of a line that are there.
func list(parts ...string) string {
	said := parts[:0]
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, ", ")
}

// span is a time in seconds for people, its two largest units.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		n := d / u.size
		if n == 0 && i+1 < len(units) {
			continue
		}
		said := fmt.Sprintf("%d %s", n, u.name)
		if i+1 < len(units) {
			if rest := d % u.size / units[i+1].size; rest > 0 {
				said += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return said
	}
	return ""
}

// findings prints what is worse than info, all of it when asked to, and returns how many
// are left.
func (t *text) findings(all []finding.Finding, every bool) (rest int) {
	for _, f := range all {
		if !every && f.Severity.Rank() <= finding.SeverityInfo.Rank() {
			rest++
			continue
		}
		t.Judged(f.ID, string(f.Severity), "%s", withFlags(f.Message))
		if f.Where != "" {
			t.More("at %s", f.Where)
		}
		if f.Advice != "" {
			t.More("-> %s", withFlags(f.Advice))
		}
		if every && f.Detail != "" {
			t.More("seen: %s", withFlags(f.Detail))
		}
	}
	return rest
}

// verdict prints the last word on a file, and where the notes are that were not
// printed: how says how to see them.
func (t *text) verdict(verdict string, rest int, how string) {
	said := ""
	if rest > 0 {
		said = fmt.Sprintf(", %s (%s)", binio.Plural(rest, "note"), how)
	}
	t.Verdict("verdict", verdict, "%s", said)
}

// notes says where the notes are that were not printed, of a command without a verdict.
func (t *text) notes(rest int) {
	if rest > 0 {
		t.Key("notes", "%d, --verbose prints them", rest)
	}
}

// damageOf is what the findings say of a file that is cut or damaged, in short: it
// stands before what else there is to say. Empty for a sound file.
func damageOf(list []finding.Finding) string {
	for _, f := range list {
		if f.ID == finding.Truncated.ID() || f.ID == finding.DamagedPages.ID() {
			said, _, _ := strings.Cut(f.Message, " (") // the finding has the offsets
			return said
		}
	}
	return ""
}
