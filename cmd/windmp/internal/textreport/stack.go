package textreport

import (
	"fmt"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/inspect"
	"windmp/convert/report"
)

// Stacks prints the stacks of a guest that were asked for.
func Stacks(t *Text, r *inspect.StackReport, verbose bool) {
	t.machine = r.Machine
	printBugCheck(t, r.Bug)
	printSignature(t, r.Signature, true)
	for i := range r.Stacks {
		printStack(t, &r.Stacks[i], r.Bug)
	}
	t.Blank()
	t.notes(t.findings(r.Findings, verbose))
}

// printStack prints the frames as debuggers do, the innermost first.
func printStack(t *Text, s *report.Stack, b *report.BugCheckDetail) {
	who := "thread"
	if s.Processor >= 0 {
		who = fmt.Sprintf("processor %d", s.Processor)
	}
	t.Heading("%s, from %s", who, s.From(b != nil && b.Crashed))
	table := t.Table(0, screen.Column{}, screen.Column{Name: "#", Right: true}, screen.Column{Name: "stack pointer"}, screen.Column{Name: "found by"}, screen.Column{Name: "function"})
	for _, f := range s.Handlers {
		t.frame(table, false, f)
	}
	for i, f := range s.Frames {
		t.frame(table, i == 0 && len(s.Handlers) > 0, f)
	}
	table.End()
	if !s.Complete {
		t.Note(stopIndent, "%s", s.Stop)
	}
	if len(s.Seen) > 0 {
		t.Note(stopIndent, "seen on the stack beyond it; these may not be calls:")
		table := t.Table(0, screen.Column{}, screen.Column{}, screen.Column{})
		for i := 0; i < len(s.Seen); {
			x, times := s.Seen[i], 1
			for i++; i < len(s.Seen) && s.Seen[i].Address == x.Address; i++ {
				times++
			}
			place := x.Place
			if times > 1 {
				place += fmt.Sprintf(" (%d times)", times)
			}
			table.Row("?   ", t.address(x.Address), place)
		}
		table.End()
	}
}

// stopIndent is where the stack pointers begin, and what is said below the frames.
const stopIndent = 7

// frame prints one: its number, the stack pointer, how it was found, and where it is.
// here marks where the crash was.
func (t *Text) frame(table *screen.Table, here bool, f report.StackFrame) {
	mark := " "
	switch {
	case f.How == "scan":
		mark = "?"
	case here:
		mark = ">"
	}
	table.Row(mark, fmt.Sprintf("%02d", f.Index), t.address(f.SP), f.How, f.Place)
}
