package winhdr

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"
)

const (
	offsetMemory        = unsafe.Offsetof(Header64{}.PhysicalMemory)
	offsetNumberOfRuns  = offsetMemory + unsafe.Offsetof(PhysicalMemoryDescriptor64{}.NumberOfRuns)
	offsetNumberOfPages = offsetMemory + unsafe.Offsetof(PhysicalMemoryDescriptor64{}.NumberOfPages)
	offsetRun           = offsetMemory + unsafe.Offsetof(PhysicalMemoryDescriptor64{}.Run)
	offsetBasePage      = unsafe.Offsetof(PhysicalMemoryRun64{}.BasePage)
	offsetPageCount     = unsafe.Offsetof(PhysicalMemoryRun64{}.PageCount)
	sizeRun             = unsafe.Sizeof(PhysicalMemoryRun64{})
)

// namedRun is a run with its place in the header.
type namedRun struct {
	PhysicalMemoryRun64
	index int
}

// end is the page after the run. It can't wrap once checkLimits was content.
func (r namedRun) end() uint64 { return r.BasePage + r.PageCount }

func (r namedRun) problem(field string, offset uintptr, got, want string, repairable bool) Problem {
	return Problem{
		Field:      fmt.Sprintf("Run[%d]%s", r.index, field),
		Offset:     int(offsetRun+offset) + r.index*int(sizeRun),
		Got:        got,
		Want:       want,
		Repairable: repairable,
	}
}

func (r namedRun) String() string {
	return fmt.Sprintf("pages 0x%x to 0x%x", r.BasePage, r.end()-1)
}

// Runs returns the run table as it can be used: at least one run, ascending,
// none empty, none overlapping another, all below MaxPFN. It also returns what
// was wrong with the table in the header, nothing if it can be used as it is.
// The header is not changed. One rule for each oddity:
//
//   - NumberOfRuns is 0, more than MaxRuns64 or never set: not repairable.
//   - A run passes MaxPFN, or wraps: not repairable.
//   - No run has a page: not repairable.
//   - A run has no pages: dropped.
//   - A run starts below the one before it: the table is sorted. (The engine
//     of Microsoft's debuggers takes any order, LeechCore an ascending one.)
//   - A run shares pages with another: the two become one. (In a full dump the
//     shared pages would be in the file twice.)
//   - A run begins where the one before it ends: both are kept as they are,
//     since QEMU keeps them, and no reader minds.
//   - NumberOfPages is not the sum over the returned runs: the sum is right.
//
// The runs are nil if and only if one of the problems is not repairable.
func (h *Header64) Runs() ([]PhysicalMemoryRun64, []Problem) {
	runs, problems := h.pagedRuns()
	if runs == nil {
		return nil, problems
	}
	more := sortRuns(runs)
	problems = append(problems, more...)
	united, more := uniteRuns(runs)
	problems = append(problems, more...)

	if sum := sumPages(united); sum != h.PhysicalMemory.NumberOfPages {
		problems = append(problems, Problem{
			Field:      "NumberOfPages",
			Offset:     int(offsetNumberOfPages),
			Got:        hex(h.PhysicalMemory.NumberOfPages),
			Want:       fmt.Sprintf("0x%x, the sum over the runs", sum),
			Repairable: true,
		})
	}
	return united, problems
}

// SetRuns replaces the run table and sets NumberOfRuns and NumberOfPages. Runs
// must be as Runs returns them: otherwise the header stays as it is and the
// error is a Problem. Entries behind the last run keep their bytes, but for
// those that were runs before: these become zero.
func (h *Header64) SetRuns(runs []PhysicalMemoryRun64) error {
	if len(runs) > MaxRuns64 {
		return countProblem(fmt.Sprintf("0x%x", len(runs)))
	}
	var probe Header64
	copy(probe.PhysicalMemory.Run[:], runs)
	probe.PhysicalMemory.NumberOfRuns = uint32(len(runs)) //nolint:gosec // at most MaxRuns64
	probe.PhysicalMemory.NumberOfPages = sumPages(runs)
	if _, problems := probe.Runs(); len(problems) > 0 {
		return problems[0]
	}
	m := &h.PhysicalMemory
	for i := len(runs); i < int(min(m.NumberOfRuns, MaxRuns64)); i++ {
		m.Run[i] = PhysicalMemoryRun64{}
	}
	copy(m.Run[:], runs)
	m.NumberOfRuns = probe.PhysicalMemory.NumberOfRuns
	m.NumberOfPages = probe.PhysicalMemory.NumberOfPages
	return nil
}

// pagedRuns returns the runs that have pages, and nil if a problem is not
// repairable.
func (h *Header64) pagedRuns() ([]namedRun, []Problem) {
	count := h.PhysicalMemory.NumberOfRuns
	if count == 0 || count > MaxRuns64 {
		return nil, []Problem{countProblem(hex(count))}
	}
	var runs []namedRun
	var problems []Problem
	bad := false
	for i, run := range h.PhysicalMemory.Run[:count] {
		named := namedRun{run, i}
		if run.PageCount == 0 {
			problems = append(problems, named.problem(".PageCount",
				offsetPageCount, "0x0", "at least one page", true))
			continue
		}
		if p := named.checkLimits(); p != nil {
			problems = append(problems, *p)
			bad = true
		}
		runs = append(runs, named)
	}
	if len(runs) == 0 {
		problems = append(problems, countProblem(fmt.Sprintf("0x%x, all of them empty", count)))
		bad = true
	}
	if bad {
		return nil, problems
	}
	return runs, problems
}

func countProblem(got string) Problem {
	return Problem{
		Field:  "NumberOfRuns",
		Offset: int(offsetNumberOfRuns),
		Got:    got,
		Want:   fmt.Sprintf("1 to %d runs with pages", MaxRuns64),
	}
}

// checkLimits returns what is wrong with a run that passes MaxPFN. Compared by
// subtraction, so that no sum can wrap.
func (r namedRun) checkLimits() *Problem {
	var p Problem
	switch {
	case r.BasePage >= MaxPFN:
		p = r.problem(".BasePage", offsetBasePage, hex(r.BasePage),
			fmt.Sprintf("below 0x%x, physical addresses having 52 bits", uint64(MaxPFN)), false)
	case r.PageCount > MaxPFN-r.BasePage:
		p = r.problem(".PageCount", offsetPageCount, hex(r.PageCount),
			fmt.Sprintf("at most 0x%x, physical addresses having 52 bits", MaxPFN-r.BasePage), false)
	default:
		return nil
	}
	return &p
}

// sortRuns sorts by BasePage and names each run that started below the one
// before it.
func sortRuns(runs []namedRun) []Problem {
	var problems []Problem
	for i := 1; i < len(runs); i++ {
		if runs[i].BasePage < runs[i-1].BasePage {
			problems = append(problems, runs[i].problem(".BasePage", offsetBasePage,
				hex(runs[i].BasePage),
				fmt.Sprintf("at least 0x%x, that of the run before", runs[i-1].BasePage), true))
		}
	}
	slices.SortStableFunc(runs, func(a, b namedRun) int { return cmp.Compare(a.BasePage, b.BasePage) })
	return problems
}

// uniteRuns joins sorted runs that share pages.
func uniteRuns(runs []namedRun) ([]PhysicalMemoryRun64, []Problem) {
	var problems []Problem
	united := make([]namedRun, 0, len(runs))
	for _, run := range runs {
		if len(united) == 0 || run.BasePage >= united[len(united)-1].end() {
			united = append(united, run)
			continue
		}
		last := &united[len(united)-1]
		problems = append(problems, run.problem("", 0, run.String(),
			fmt.Sprintf("no page of run %d, %v", last.index, last), true))
		last.PageCount = max(last.end(), run.end()) - last.BasePage
	}
	out := make([]PhysicalMemoryRun64, len(united))
	for i, run := range united {
		out[i] = run.PhysicalMemoryRun64
	}
	return out, problems
}

func sumPages(runs []PhysicalMemoryRun64) uint64 {
	var sum uint64
	for _, run := range runs {
		sum += run.PageCount
	}
	return sum
}
