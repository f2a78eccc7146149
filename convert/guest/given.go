package guest

import (
	"fmt"

	"windmp/convert/finding"
)

// Contradicts compares what a user knows of the guest ([Options.Given]) with what a triage
// dump states, which nothing else in it confirms: nil, or a [*finding.RefusedError] with
// the first that is another. A dump of which KDBG is not readable states too little.
func (t *Triage) Contradicts(opt *Options) error {
	k := t.Kernel()
	if k == nil {
		return nil
	}
	h, root := t.Header(), t.Machine().Modes[0].Root
	last := uint64(t.Machine().Kernel.Last())
	for _, x := range []struct {
		what         string
		given, there uint64
		same         bool
	}{
		{"root", opt.DTB, h.DirectoryTableBase, root(opt.DTB) == root(h.DirectoryTableBase)},
		{"kernel base", opt.KernelBase, k.Data.KernBase, opt.KernelBase&last == k.Data.KernBase&last},
		{"KDBG", opt.KDBG, uint64(k.VA), opt.KDBG&last == uint64(k.VA)&last},
	} {
		if x.given != 0 && !x.same {
			var said finding.List
			return said.Refuse(finding.GivenWrong.At("", "the given %s is not the one that the dump states", x.what).Because(fmt.Sprintf("%#x, not %#x", x.given, x.there)), nil)
		}
	}
	return nil
}
