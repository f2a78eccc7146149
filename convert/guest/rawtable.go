package guest

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/search"
	"windmp/kdbg/locate"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

const (
	// maxTableHoles bounds the holes that raw memory is supposed to leave out at the
	// same time, maxSupposed the suppositions that are tried.
	maxTableHoles = 8
	maxSupposed   = 32
	// maxSearched bounds those for each of which the whole file is searched.
	maxSearched = 4
	// firmBound is what holes begin and end at: machines put memory together of
	// pieces of some MiB.
	firmBound = 1 << 20
)

// topBounds are multiples at which holes begin whose memory above has a part at its end
// that the guest does not list.
var topBounds = []uint64{1 << 20, 1 << 24, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30}

// supposed are holes that raw memory may leave out.
type supposed struct {
	holes []physmem.Range
	// firm says that they begin and end where machines have bounds, and account for
	// every page of the file.
	firm bool
}

// holesOfTable supposes that a file of size bytes leaves out gaps of the guest's own
// table of memory: as many bytes as it has less than memory up to the end of the table.
// A gap need not be a hole all of it, since firmware keeps memory to itself, most of it
// at the end of a piece.
func holesOfTable(runs physmem.Runs, size uint64, known []machine.Hole) []supposed {
	runs = runs.Join()
	if len(runs) < 2 {
		return nil
	}
	size -= size % physmem.PageSize
	end := runs[len(runs)-1].Range().End()
	if size >= end {
		return nil
	}
	need := end - size
	gaps := make([]physmem.Range, 0, len(runs)-1)
	for i, r := range runs[1:] {
		gaps = append(gaps, physmem.Span(runs[i].Range().End(), r.Range().Start))
	}
	slices.SortStableFunc(gaps, func(a, b physmem.Range) int { return cmp.Compare(b.Size, a.Size) })
	var list []supposed
	var sum uint64
	for n := range min(len(gaps), maxTableHoles) {
		if sum += gaps[n].Size; sum < need {
			continue
		}
		slack := sum - need
		for i, g := range gaps[:n+1] {
			if g.Size <= slack || len(list) >= maxSupposed {
				continue
			}
			holes := slices.Clone(gaps[:n+1])
			holes[i] = inGap(g, g.Size-slack, known)
			slices.SortFunc(holes, func(a, b physmem.Range) int { return cmp.Compare(a.Start, b.Start) })
			list = append(list, supposed{holes, firm(holes)})
		}
	}
	return append(list, belowTop(gaps[0], need)...)
}

// inGap is the hole of size bytes in a gap: one that is known, else one that ends at a
// bound, else one at the gap's end.
func inGap(gap physmem.Range, size uint64, known []machine.Hole) physmem.Range {
	for _, h := range known {
		if h.Size == size && h.Start >= gap.Start && h.End() <= gap.End() {
			return h.Range
		}
	}
	if end := gap.End() - gap.End()%firmBound; end >= gap.Start+size {
		return physmem.Span(end-size, end)
	}
	return physmem.Span(gap.End()-size, gap.End())
}

// firm tells whether all holes begin and end at bounds.
func firm(holes []physmem.Range) bool {
	return !slices.ContainsFunc(holes, func(h physmem.Range) bool { return h.Start%firmBound != 0 || h.End()%firmBound != 0 })
}

// belowTop supposes that the file has more memory above the hole than the guest lists:
// the hole is larger then.
func belowTop(gap physmem.Range, need uint64) (list []supposed) {
	for _, bound := range topBounds {
		if gap.Size < need {
			break
		}
		start := (gap.End() - need) &^ (bound - 1)
		if start < gap.Start {
			break
		}
		list = append(list, supposed{[]physmem.Range{physmem.Span(start, gap.End())}, false})
	}
	return list
}

// byTable looks for the guest that was found in one view of raw memory, less than all
// there, with holes that its own table of memory has. It is nil unless all of the table
// is there with them, and what the kernel's structures lead to speaks for it.
func byTable(ctx context.Context, im *physmem.Image, opt Options, found *finder, err error) *finder {
	if missingOf(found, err) >= noTable {
		return nil
	}
	list := holesOfTable(found.Runs, physmem.TotalSize(im.Laid()), knownHoles(im, &opt))
	return bestOf(ctx, im, opt, list, found)
}

// knownHoles are those that a file's size allows.
func knownHoles(im *physmem.Image, opt *Options) []machine.Hole {
	return machine.Holes(physmem.TotalSize(im.Laid()), machine.OrAll(opt.Machines))
}

// bySearch looks for the guest with the holes of the tables of memory that lie in the
// file: what leads to the kernel, or to its table, may lie behind a hole, where it is
// not found before that is known. found is the guest as far as it was seen, of which
// missing says how much that is.
func bySearch(ctx context.Context, im *physmem.Image, opt Options, found *finder, missing uint64) *finder {
	if missing < noTable {
		return byTable(ctx, im, opt, found, nil)
	}
	size := physmem.TotalSize(im.Laid())
	tables, err := locate.Tables(ctx, im, search.DataRanges(im), size/physmem.PageSize, machine.Layouts(machine.OrAll(opt.Machines))...)
	if err != nil {
		return nil
	}
	var list []supposed
	for _, runs := range tables {
		list = append(list, holesOfTable(runs, size, knownHoles(im, &opt))...)
	}
	if missing == notFound {
		found, list = nil, list[:min(len(list), maxSearched)]
		for _, s := range list {
			opt.seen.Expect(s.holes...)
		}
	}
	return bestOf(ctx, im, opt, list[:min(len(list), maxSupposed)], found)
}

// bestOf tries what was supposed, and takes the guest of which the most is right: with
// all of its table there, and more right than in the view in which it was found before,
// if it was.
func bestOf(ctx context.Context, im *physmem.Image, opt Options, list []supposed, before *finder) *finder {
	c := contest{before: before, sound: math.MinInt}
	if before != nil {
		c.sound = before.soundness()
		opt.givenBy(before)
	}
	for _, s := range list {
		view, err := im.WithHoles(s.holes)
		if err != nil || ctx.Err() != nil {
			break
		}
		g, err := examine(ctx, view, opt)
		if missingOf(g, err) > 0 {
			continue
		}
		sound := g.soundness()
		if !c.wins(sound, s) {
			continue
		}
		if c.before == nil && c.best == nil {
			opt.givenBy(g) // the others need not be searched
		}
		c.take(g, sound, s)
	}
	if c.best != nil {
		c.best.sayHoles(c.taken.holes, knownHoles(im, &opt))
	}
	return c.best
}

// contest is between guests in several views of raw memory.
type contest struct {
	before *finder // the guest as it was found without what is supposed, if it was
	best   *finder // of those tried so far
	taken  supposed
	sound  int // how much is right of the best
}

// wins tells whether more is right of a guest than of the best, or as much with firmer
// bounds.
func (c *contest) wins(sound int, s supposed) bool {
	return sound > c.sound || sound == c.sound && s.firm && !c.taken.firm
}

// take makes a guest the best. It was found as the first one was, without which it would
// have been searched for.
func (c *contest) take(g *finder, sound int, s supposed) {
	if first := cmp.Or(c.before, c.best); first != nil {
		g.foundAs(first)
	}
	c.best, c.taken, c.sound = g, s, sound
}

// givenBy looks for the guest that was found before.
func (o *Options) givenBy(g *finder) {
	o.DTB, o.KDBG, o.KernelBase = uint64(g.Memory.Space.DTB), uint64(g.Kernel.VA), g.Kernel.Data.KernBase
}

// foundAs says of a guest that it was found as the same one was in another view.
func (g *finder) foundAs(was *finder) {
	g.KDBGSource = was.KDBGSource
	for i, f := range g.All {
		if f.ID != finding.GuestFound.ID() {
			continue
		}
		if j := slices.IndexFunc(was.All, func(x finding.Finding) bool { return x.ID == f.ID }); j >= 0 {
			g.All[i] = was.All[j]
		}
	}
}

// sayHoles says which holes were supposed.
func (g *finder) sayHoles(holes []physmem.Range, known []machine.Hole) {
	if i := slices.IndexFunc(known, func(h machine.Hole) bool { return len(holes) == 1 && h.Range == holes[0] }); i >= 0 {
		g.addHole(&known[i], 0)
		return
	}
	list, exact := make([]string, len(holes)), make([]string, len(holes))
	for i, h := range holes {
		list[i], exact[i] = holeText(h), h.String()
	}
	g.Add(finding.RawHoleListed.At(g.memoryBlock(), "the file is taken to leave out %s: the guest's own table of memory has no memory there, and all of it is there with that", strings.Join(list, ", ")).Because(strings.Join(exact, ", ")))
}

// soundness counts what the kernel's structures lead to and is what it must be, less
// what is not: images, registers and processes. Memory in a wrong place makes it
// something else.
func (g *finder) soundness() (n int) {
	count := func(ok bool) {
		if ok {
			n++
		} else {
			n--
		}
	}
	for i := range g.Modules {
		count(peimage.Begins(g.Memory.Space, g.Modules[i].Base))
	}
	for i := range g.Processors {
		p := &g.Processors[i]
		count(p.Err == nil && p.Saved != nil)
		count(p.Specials != nil)
		process, err := g.Kernel.CurrentProcess(p.PRCB)
		count(err == nil && g.Memory.Space.Mode.Root(process.DirectoryTable) != 0)
	}
	_, err := g.Kernel.ModulesAt(vtop.VA(g.Kernel.Data.PsLoadedModuleList))
	count(err == nil)
	processes, err := g.Kernel.Processes()
	count(err == nil)
	return n + len(processes)
}
