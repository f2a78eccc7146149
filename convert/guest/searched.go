package guest

import (
	"context"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/search"
	"windmp/kdbg"
	"windmp/vtop"
)

// reasonsShown bounds the attempts that an error lists.
const reasonsShown = 6

// known is what a search starts from.
func (g *finder) known() search.Known {
	return search.Known{
		View: g.View, Machines: g.machines, Machine: g.machine, Settled: g.Header != nil,
		Modes: g.modesOf, Findings: &g.List,
	}
}

// search are the options as the search takes them.
func (o *Options) search() search.Options {
	return search.Options{DTB: o.DTB, KernelBase: o.KernelBase, KDBG: o.KDBG, Progress: o.Progress, Whole: o.Whole, Seen: o.seen, Trial: o.trial}
}

// modesOf are the paging modes that a machine's page tables may have, the likelier
// first.
func (g *finder) modesOf(m *machine.Machine) []*vtop.Mode {
	if m == g.machine {
		return g.modes()
	}
	return m.Likely(g.Header, g.isDumpFile(), g.Image.CPUs())
}

// discover finds the kernel and its page tables without the header, and takes them,
// with the System process' page tables where these can be had: those of another
// process go away with it.
func (g *finder) discover(ctx context.Context, opt *Options) error {
	if opt.seen == nil {
		opt.seen = search.NewSeen(g.Image)
	}
	found, err := search.Find(ctx, g.known(), opt.search())
	if err != nil {
		return err
	}
	g.machine = found.Machine
	g.KDBGSource, g.Built = found.Source, g.Header == nil
	space := found.Kernel.Space
	whose := "those of a process, as the System process' could not be read"
	if system, ok := search.SystemSpace(found.Machine, found.Kernel, found.Image); ok {
		whose = "the System process' own"
		space = system
	}
	g.settleKernel(found.Kernel.In(space))
	b := g.Kernel.Block
	g.Add(finding.GuestFound.At("VA "+b.VA.String(), "Windows was found by %s: kernel %s, KDBG %s, the page tables are %s", found.Via, search.KernelIdentity(found.Image), codeWord(b), whose).
		Because(fmt.Sprintf("the kernel is at %s, DirectoryTableBase is %#x", vtop.VA(b.Data.KernBase), uint64(g.Memory.Space.DTB))))
	if b.Encoded {
		g.Add(finding.KDBGDecoded.At("VA "+b.VA.String(), "KDBG was encoded and is written decoded").Because(encoding(b)))
	}
	return nil
}

// encoding is how a block was encoded.
func encoding(b *kdbg.Block) string {
	return fmt.Sprintf("rotation %d, constant %#x", b.Rotation, b.Constant)
}

func codeWord(b *kdbg.Block) string {
	if b.Encoded {
		return "encoded"
	}
	return "plain"
}
