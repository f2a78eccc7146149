package plan

import (
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
	shown := -1
	for i := range p.cpus {
		if p.shown == &p.cpus[i] {
			shown = i
		}
	}
	return stack.SignatureOf(p.guest, stacksOf(p.cpus), shown)
}

func stacksOf(list []CPU) []stack.CPU {
	out := make([]stack.CPU, 0, len(list))
	for i := range list {
		out = append(out, stack.CPU{Index: list[i].Index, Context: list[i].Context, Live: list[i].Source == report.FromVCPU})
	}
	return out
}
