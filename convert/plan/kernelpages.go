package plan

import (
	"context"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/binio"
	"windmp/internal/pageset"
	"windmp/physmem"
	"windmp/vtop"
)

// selectKernel chooses the pages of a kernel dump: what the kernel's half of the
// address space maps, the page tables on the way to it, the topmost table of
// each process, and of the processes asked for the user half as well. The error is a
// [*finding.RefusedError], a [*stage.UsageError], or the cause of ctx.
func (p *Plan) selectKernel(ctx context.Context, keep []uint64) error {
	g := p.guest
	p.memory.runs = p.memory.runs.Without(p.memory.missing)
	if len(p.memory.runs) == 0 {
		return p.found.Refuse(finding.Missing.WithAdvice("").At("", "the source holds no whole page of the guest's memory"), nil)
	}
	p.memory.kept = pageset.NewSubset(func(yield func(first, behind uint64) bool) {
		for _, r := range p.memory.runs {
			if !yield(r.BasePage, r.End()) {
				return
			}
		}
	})
	space := g.Memory().Space
	mode := space.Mode
	c := newCollector(ctx, p.memory.kept, mode)
	if err := c.visit(space, vtop.KernelHalf); err != nil {
		return err
	}
	for _, proc := range g.Processors() {
		if proc.State != nil && proc.State.HasSystem { // the root of a vCPU that runs something else is no page table of this guest
			c.addPage(mode.Root(proc.State.Root))
			c.addPage(mode.Root(proc.State.UpperRoot))
		}
	}
	if err := p.keepProcesses(c, keep); err != nil {
		return err
	}
	if c.unreadable > 0 {
		p.found.Add(finding.TablesMissing.At(fmt.Sprintf("PA %#x", uint64(c.firstUnreadable)), "%s of the kernel can't be read", binio.Plural(c.unreadable, "page table")).Because(c.err))
	}
	left := p.memory.runs.Pages() - p.memory.kept.Count()
	p.found.Add(finding.KernelPages.At("", "kernel dump: kept are %s, left out %d", binio.Plural(p.memory.kept.Count(), "page"), left))
	return nil
}

// keepProcesses adds the topmost tables of all processes, so that a debugger can
// switch to them, and the user pages of those whose id is in keep.
func (p *Plan) keepProcesses(c *collector, keep []uint64) error {
	k := p.guest.Kernel()
	list, err := k.Processes()
	if err != nil {
		p.found.Add(finding.ProcessList.At("VA "+vtop.VA(k.Data.PsActiveProcessHead).String(), "the process list breaks off after %d processes", len(list)).Because(err))
	}
	found := make(map[uint64]bool, len(keep))
	for _, pid := range keep {
		found[pid] = false
	}
	for _, proc := range list {
		c.addPage(k.Space.Mode.Root(proc.DirectoryTable))
		if _, wanted := found[proc.PID]; !wanted || proc.DirectoryTable == 0 {
			continue
		}
		found[proc.PID] = true
		user := newCollector(c.ctx, c.pages, k.Space.Mode)
		if err := user.visit(k.Space.At(proc.DirectoryTable), vtop.UserHalf); err != nil {
			return err
		}
		p.found.Add(finding.KernelPages.WithAdvice("").At("", "user memory of process %d (%s) is kept", proc.PID, finding.Quote(proc.Name)))
	}
	for _, pid := range keep {
		if !found[pid] {
			return &stage.UsageError{Reason: fmt.Sprintf("the process to keep %d: there is no such process in the guest", pid), Hint: "see the process list of the guest"}
		}
	}
	return nil
}

// collector is a vtop.Visitor that adds tables and pages to a set. Each table is
// visited once a level, which bounds the walk whatever the tables hold, and none once
// ctx has ended.
type collector struct {
	ctx             context.Context //nolint:containedctx // lives as long as one walk
	pages           *pageset.Subset
	visited         []*pageset.Subset // by level
	unreadable      int
	firstUnreadable vtop.PA
	err             error
}

func newCollector(ctx context.Context, pages *pageset.Subset, mode *vtop.Mode) *collector {
	c := &collector{ctx: ctx, pages: pages, visited: make([]*pageset.Subset, len(mode.Levels)+1)}
	for i := range c.visited {
		c.visited[i] = pages.Empty()
	}
	return c
}

// visit adds what a half of an address space maps. The error is the cause of ctx.
func (c *collector) visit(space *vtop.Space, half vtop.Half) error {
	space.Visit(half, c)
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return nil
}

func (c *collector) addPage(pa vtop.PA) { c.pages.Add(uint64(pa) / physmem.PageSize) }

// Table implements vtop.Visitor. A table outside the dump's memory is no table.
func (c *collector) Table(pa vtop.PA, level int) bool {
	c.addPage(pa)
	return c.visited[level].Add(uint64(pa)/physmem.PageSize) && c.ctx.Err() == nil
}

// Page implements vtop.Visitor.
func (c *collector) Page(pa vtop.PA, size uint64) {
	first := uint64(pa) / physmem.PageSize
	c.pages.AddRun(first, first+size/physmem.PageSize)
}

// Unreadable implements vtop.Visitor.
func (c *collector) Unreadable(pa vtop.PA, _ int, err error) {
	if c.unreadable == 0 {
		c.firstUnreadable, c.err = pa, err
	}
	c.unreadable++
}
