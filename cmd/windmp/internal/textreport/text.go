package textreport

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// Text is what a command prints for people: a page, and the words for what is on it.
type Text struct {
	*screen.Page
	// machine is whose addresses they are.
	machine *machine.Machine
	words   func(string) string
}

// New makes a text for a stream; words says in the command's words what a library said.
func New(w io.Writer, words func(string) string) *Text {
	return &Text{Page: screen.NewPage(screen.Of(w)), words: words}
}

// address is an address of the guest, with all its digits: those in a column are
// aligned.
func (t *Text) address(va report.Hex) string {
	return fmt.Sprintf("%#0*x", t.guest().Digits(), uint64(va))
}

// physical is a physical address, likewise.
func (t *Text) physical(pa report.Hex) string {
	const digits = 12
	return fmt.Sprintf("%#0*x", min(digits, t.guest().Digits()), uint64(pa))
}

// guest is the machine whose addresses are printed, the likeliest before it is known.
func (t *Text) guest() *machine.Machine { return cmp.Or(t.machine, machine.OrFirst("")) }

// List joins the parts of a line that are there.
func List(parts ...string) string {
	said := parts[:0]
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, ", ")
}

// findings prints what is worse than info, all of it when asked to, and returns how many
// are left.
func (t *Text) findings(all []finding.Finding, every bool) (rest int) {
	for _, f := range all {
		if !every && f.Severity.Rank() <= finding.SeverityInfo.Rank() {
			rest++
			continue
		}
		t.Judged(f.ID, string(f.Severity), "%s", t.words(f.Message))
		if f.Where != "" {
			t.More("at %s", f.Where)
		}
		if f.Advice != "" {
			t.More("-> %s", t.words(f.Advice))
		}
		if every && f.Detail != "" {
			t.More("seen: %s", t.words(f.Detail))
		}
	}
	return rest
}

// verdict prints the last word on a file, and where the notes are that were not
// printed: how says how to see them.
func (t *Text) verdict(verdict string, rest int, how string) {
	said := ""
	if rest > 0 {
		said = fmt.Sprintf(", %s (%s)", binio.Plural(rest, "note"), how)
	}
	t.Verdict("verdict", verdict, "%s", said)
}

// notes says where the notes are that were not printed, of a command without a verdict.
func (t *Text) notes(rest int) {
	if rest > 0 {
		t.Key("notes", "%d, --verbose prints them", rest)
	}
}

// damageOf is the finding that says of a file that it is cut or damaged: its sentence
// stands before what else there is to say. It is nil for a sound file.
func damageOf(list []finding.Finding) *finding.Finding {
	for i, f := range list {
		if f.ID == finding.Truncated.ID() || f.ID == finding.DamagedPages.ID() {
			return &list[i]
		}
	}
	return nil
}
