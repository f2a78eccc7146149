package guest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr/problem"
)

// aboutRuns tells whether field is of a header's table of physical memory.
func aboutRuns(field string) bool {
	return field == "NumberOfRuns" || field == "NumberOfPages" || strings.HasPrefix(field, "Run[")
}

// settleRuns decides which memory the guest has. The kernel's own table is kept up to
// date, so that it is believed before that of the header, which is as old as the guest
// driver's start; and that before what the file happens to hold. Each is believed only
// if what debuggers need first lies in it.
func (g *finder) settleRuns() error {
	if g.isDump() || g.Built {
		return nil // a dump's are where its pages lie; a header that was built has them
	}
	noted, problems := g.original.Runs()
	kernel, kernelErr := g.kernelRuns()
	switch noteErr := g.holdsNeeded(noted); {
	case kernelErr == nil && slices.Equal(noted.Join(), kernel.Join()):
		g.repairedRuns(problems)
		return nil
	case kernelErr == nil:
		g.replaceRuns(noted, problems, kernel)
		return g.cutUnknown(noted)
	case noteErr == nil:
		g.repairedRuns(problems)
		g.Add(finding.RunsKept.At(g.memoryBlock(), "the kernel's own table of memory can't be used, the header's is").Because(kernelErr))
		return nil
	default:
		return g.guessRuns(fmt.Errorf("%w; the header's: %w", kernelErr, noteErr))
	}
}

// memoryBlock names the place of the kernel's own table.
func (g *finder) memoryBlock() string {
	return "VA " + vtop.VA(g.Kernel.Data.MmPhysicalMemoryBlock).String()
}

// kernelRuns is what *MmPhysicalMemoryBlock lists, if that can be the memory of this
// guest, and if a header can list it.
func (g *finder) kernelRuns() (physmem.Runs, error) {
	runs, err := g.Kernel.PhysicalMemory()
	if err != nil {
		return nil, err
	}
	if f := g.Header.Format(); runs[len(runs)-1].End() > f.PFNLimit {
		return nil, fmt.Errorf("it lists memory up to page frame %#x: %s", runs[len(runs)-1].End(), f.PFNReason)
	}
	return runs, g.holdsNeeded(runs)
}

// repairedRuns says what was wrong with the header's table where that is kept.
func (g *finder) repairedRuns(problems []problem.Problem) {
	for _, p := range problems {
		g.Add(finding.HeaderRepaired.At(noteOffset(g.Image.GuestNote(), p.Offset), "header repaired: %s", p.Sentence()).Because(p))
	}
}

// notedRuns says what is wrong with the header's table where the header is all that
// is looked at.
func (g *finder) notedRuns() {
	if g.isDump() || g.original == nil {
		return
	}
	runs, problems := g.original.Runs()
	if runs != nil {
		g.repairedRuns(problems)
		return
	}
	last := problems[len(problems)-1]
	g.Add(finding.RunsReplaced.At(noteOffset(g.Image.GuestNote(), last.Offset), "the header's table of memory can't be used (%s); the kernel's own will be", last.Sentence()).Because(last))
}

// replaceRuns takes the kernel's table in place of the header's.
func (g *finder) replaceRuns(noted physmem.Runs, problems []problem.Problem, kernel physmem.Runs) {
	const why = "the kernel's own table of memory: the guest driver's is as old as its start"
	g.because("NumberOfRuns", why)
	g.because("NumberOfPages", why)
	g.reasons = append(g.reasons, report.Reason{Field: "Run", Why: why, From: listRuns(noted), To: listRuns(kernel)})
	g.Add(finding.RunsReplaced.At(noteOffset(g.Image.GuestNote(), g.Header.Offset("NumberOfRuns")),
		"%s; the kernel's own is taken: %s", whatIsWrong(noted, problems, kernel), sizeOf(kernel)))
	g.Runs = kernel
	g.placeAnew()
}

// sizeOf is how large a table of memory is.
func sizeOf(runs physmem.Runs) string {
	return binio.Plural(len(runs), "run") + ", " + binio.Plural(runs.Pages(), "page")
}

// whatIsWrong compares a header's table with the kernel's.
func whatIsWrong(noted physmem.Runs, problems []problem.Problem, kernel physmem.Runs) string {
	if noted == nil {
		return fmt.Sprintf("the header's table of memory can't be used (%s)", problems[len(problems)-1].Sentence())
	}
	table := "the header's table of memory (" + sizeOf(noted) + ")"
	lacks, more := kernel.Without(noted.Ranges()).Pages(), noted.Without(kernel.Ranges()).Pages()
	if more == 0 {
		return fmt.Sprintf("%s is older than the kernel's: it lacks %s that the guest uses", table, binio.Plural(lacks, "page"))
	}
	return fmt.Sprintf("%s is not the kernel's: it lacks %s that the guest uses, and lists %d that the guest has not", table, binio.Plural(lacks, "page"), more)
}

// runsShown bounds how many runs a report names.
const runsShown = 4

// listRuns names runs, the first few of many.
func listRuns(runs physmem.Runs) string {
	if len(runs) == 0 {
		return "no runs"
	}
	list := make([]string, 0, runsShown+1)
	for i, r := range runs {
		if i == runsShown {
			list = append(list, fmt.Sprintf("and %d more", len(runs)-i))
			break
		}
		list = append(list, fmt.Sprintf("%#x+%#x", r.BasePage, r.PageCount))
	}
	return strings.Join(list, ", ")
}

// cutUnknown leaves out what neither the source has nor the header lists, if the header
// lists anything: a core that was made of a dump has no more than that dump had. What
// the header lists too falls under what is said of missing memory.
func (g *finder) cutUnknown(noted physmem.Runs) error {
	if noted == nil {
		return nil
	}
	absent := g.Image.MissingOf(g.Runs.Without(noted.Ranges()))
	if len(absent) == 0 {
		return nil
	}
	listed := g.Runs.Pages()
	g.Runs = g.Runs.Without(absent)
	if err := g.holdsNeeded(g.Runs); err != nil {
		return g.Refuse(finding.Missing.At(finding.Ranges(absent), "the file holds too little of the guest's memory").Because(err), err)
	}
	g.Add(finding.RunsCut.At(finding.Ranges(absent),
		"of the %d pages of the kernel's table of memory %d are neither in the source nor in the header's table, and are left out of the dump", listed, listed-g.Runs.Pages()))
	return nil
}

// placeAnew places memory by the table that is believed now, and not by the one that
// was. Where the guest can't be seen in it, what was placed stays.
func (g *finder) placeAnew() {
	image, recovered, found := g.Image, g.Recovered, slices.Clone(g.All)
	before, _ := g.readBlock()
	if recovered > 0 {
		g.Image, g.Recovered = g.unplaced, 0
		g.All = slices.DeleteFunc(g.All, func(f finding.Finding) bool {
			return f.ID == finding.Recovered.ID() || f.ID == finding.RecoveredVGA.ID()
		})
	}
	g.recoverMemory()
	if after, err := g.readBlock(); err != nil || !bytes.Equal(before, after) {
		g.Image, g.Recovered, g.All = image, recovered, found
	}
}

// readBlock reads the guest's block as it lies in memory.
func (g *finder) readBlock() ([]byte, error) {
	b := make([]byte, len(g.Kernel.Raw))
	_, err := g.Memory.Space.ReadVirtual(b, g.Kernel.VA)
	return b, err
}

// guessRuns lists what the file holds, less what is video memory or ROM by its place
// and what no header can list, because there is no table that could be used.
func (g *finder) guessRuns(why error) error {
	runs := g.machine.Map.RAMOf(g.Image.Ranges())
	runs = runs.Without([]physmem.Range{{Start: g.Header.Format().PFNLimit * physmem.PageSize, Size: 1 << 52}})
	if len(runs) == 0 {
		return g.Refuse(finding.Missing.WithAdvice("").At("", "the source holds no whole page of memory"), why)
	}
	if err := g.holdsNeeded(runs); err != nil {
		return g.Refuse(finding.RunTableBad.WithAdvice(finding.AdviceDumpAgain).At(g.memoryBlock(),
			"no table of the guest's memory can be used").Because(fmt.Sprintf("the kernel's: %v; what the source holds: %v", why, err)), why)
	}
	g.Add(finding.MemoryGuessed.At(g.memoryBlock(),
		"the guest's own list of its memory can't be used: the dump lists what the source holds").Because(why))
	g.Runs = runs
	return nil
}

// errNoRuns is about a header without a table.
var errNoRuns = errors.New("there is none that could be used")

// holdsNeeded is an error unless all that debuggers need first lies in the runs, as far
// as the page tables lead there: the tables themselves, KDBG, the list of modules, the
// processors. A page beside them costs what is in it, one of these everything.
func (g *finder) holdsNeeded(runs physmem.Runs) error {
	if runs == nil {
		return errNoRuns
	}
	check := func(what string, pa uint64) error {
		if runs.Contains(pa, 1) {
			return nil
		}
		return fmt.Errorf("it leaves out PA %#x, where %s", pa, what)
	}
	if err := check("the page tables begin", uint64(g.Memory.Space.DTB)); err != nil {
		return err
	}
	for _, n := range g.needed() {
		steps, _ := g.Memory.Space.Walk(n.va) // how far it leads
		for _, s := range steps {
			if err := check("page tables lie", uint64(s.EntryPA)); err != nil {
				return err
			}
		}
		m, err := g.Memory.Space.Translate(n.va)
		if err != nil {
			continue
		}
		if err := check(n.what+" lies", uint64(m.PA)); err != nil {
			return err
		}
	}
	return nil
}

// neededPart is a structure without which debuggers show nothing.
type neededPart struct {
	what string
	va   vtop.VA
}

// needed is what debuggers read first.
func (g *finder) needed() []neededPart {
	k := g.Kernel
	list := []neededPart{
		{"KDBG", k.VA},
		{"the end of KDBG", k.VA + vtop.VA(max(len(k.Raw), 1)-1)},
		{"the head of the module list", vtop.VA(k.Data.PsLoadedModuleList)},
		{"KiProcessorBlock", vtop.VA(k.Data.KiProcessorBlock)},
		{"KUSER_SHARED_DATA", g.machine.Kernel.SharedUserData},
	}
	if cpus, err := k.Processors(1); err == nil && cpus[0].PRCB != 0 {
		list = append(list, neededPart{"the KPRCB of processor 0", cpus[0].PRCB})
	}
	return list
}
