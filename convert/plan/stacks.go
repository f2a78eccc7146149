package plan

import (
	"slices"

	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/convert/stack"
)

// Stacks are the processors of a guest with the registers that a dump shows, for package
// stack, and which of them is shown first, -1 for none.
func Stacks(g *guest.Guest) (cpus []stack.CPU, shown int) {
	list := Contexts(g, ContextsAuto)
	shown, _ = Shown(g, list)
	return stacksOf(list), shown
}

// Signature is by what crashes equal to the guest's are known; nil for a guest that did
// not crash.
func (p *Plan) Signature() *report.Signature {
	if len(p.cpus) == 0 { // a core shows what its source does
		cpus, shown := Stacks(p.guest)
		return stack.SignatureOf(p.guest, cpus, shown)
	}
	return stack.SignatureOf(p.guest, stacksOf(p.cpus), p.shownIndex())
}

// shownIndex is the place of the processor that is shown, -1 for none.
func (p *Plan) shownIndex() int {
	return slices.IndexFunc(p.cpus, func(c CPU) bool { return p.shown != nil && c.PRCB == p.shown.PRCB && c.Index == p.shown.Index })
}

// crash is the stack of what crashed, or of the processor that is shown, and who walked
// it; nil where nothing is known of it.
type crash struct {
	walker *stack.Walker
	stack  *stack.Stack
}

// crash walks that stack.
func (p *Plan) crash() crash {
	w, ok := stack.New(p.guest)
	if !ok {
		return crash{}
	}
	s, _ := w.Crash(stacksOf(p.cpus), p.shownIndex())
	return crash{walker: w, stack: s}
}

// report says the same for a report.
func (c crash) report() *report.Stack {
	if c.stack == nil {
		return nil
	}
	return c.walker.Report(c.stack)
}

// signature is by what equal crashes are known; nil for a guest that did not crash.
func (c crash) signature() *report.Signature {
	if c.stack == nil {
		return nil
	}
	return c.walker.Sign(c.stack).Report()
}

func stacksOf(list []CPU) []stack.CPU {
	out := make([]stack.CPU, 0, len(list))
	for i := range list {
		out = append(out, stack.CPU{Index: list[i].Index, Context: list[i].Context, Live: list[i].Source == report.FromVCPU})
	}
	return out
}
