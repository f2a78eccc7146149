package winhdr

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"
)

// Where the fields of the 64-bit header's run table are, in bytes from the start
// of the header.
const (
	offsetMemory        = unsafe.Offsetof(Header64{}.PhysicalMemory)
	offsetNumberOfRuns  = offsetMemory + unsafe.Offsetof(PhysicalMemoryDescriptor64{}.NumberOfRuns)
	offsetNumberOfPages = offsetMemory + unsafe.Offsetof(PhysicalMemoryDescriptor64{}.NumberOfPages)
	offsetRun           = offsetMemory + unsafe.Offsetof(PhysicalMemoryDescriptor64{}.Run)
)

// runTable is the run table of a header of either width, with the runs in the
// wider form.
type runTable struct {
	count uint32
	pages uint64
	runs  []PhysicalMemoryRun64 // all that there is room for
	*tableLayout
}

// tableLayout is where a header has its run table, and what it can say. Offsets
// are in bytes from the start of the header, those of a run's fields from the
// start of the run.
type tableLayout struct {
	offsetCount, offsetPages, offsetRun    uintptr
	sizeRun, offsetBasePage, offsetPageCnt uintptr

	maxPFN  uint64 // the first page frame number that can't be
	because string // why not
}

var layout64 = tableLayout{
	offsetCount:    offsetNumberOfRuns,
	offsetPages:    offsetNumberOfPages,
	offsetRun:      offsetRun,
	sizeRun:        unsafe.Sizeof(PhysicalMemoryRun64{}),
	offsetBasePage: unsafe.Offsetof(PhysicalMemoryRun64{}.BasePage),
	offsetPageCnt:  unsafe.Offsetof(PhysicalMemoryRun64{}.PageCount),
	maxPFN:         MaxPFN,
	because:        "physical addresses having 52 bits",
}

func (h *Header64) runTable() runTable {
	m := &h.PhysicalMemory
	return runTable{m.NumberOfRuns, m.NumberOfPages, m.Run[:], &layout64}
}

// namedRun is a run with its place in the header.
type namedRun struct {
	PhysicalMemoryRun64
	index int
	*tableLayout
}

// end is the page after the run. It can't wrap once checkLimits was content.
func (r namedRun) end() uint64 { return r.BasePage + r.PageCount }

func (r namedRun) problem(field string, offset uintptr, got, want string, repairable bool) Problem {
	return Problem{
		Field:      fmt.Sprintf("Run[%d]%s", r.index, field),
		Offset:     int(r.offsetRun+offset) + r.index*int(r.sizeRun),
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
	return h.runTable().usable()
}

// usable is Runs.
func (t runTable) usable() ([]PhysicalMemoryRun64, []Problem) {
	runs, problems := t.paged()
	if runs == nil {
		return nil, problems
	}
	more := sortRuns(runs)
	problems = append(problems, more...)
	united, more := uniteRuns(runs)
	problems = append(problems, more...)

	if sum := sumPages(united); sum != t.pages {
		problems = append(problems, Problem{
			Field:      "NumberOfPages",
			Offset:     int(t.offsetPages),
			Got:        hex(t.pages),
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
	if err := h.runTable().fits(runs); err != nil {
		return err
	}
	m := &h.PhysicalMemory
	for i := len(runs); i < int(min(m.NumberOfRuns, MaxRuns64)); i++ {
		m.Run[i] = PhysicalMemoryRun64{}
	}
	copy(m.Run[:], runs)
	m.NumberOfRuns = uint32(len(runs)) //nolint:gosec // at most MaxRuns64
	m.NumberOfPages = sumPages(runs)
	return nil
}

// fits returns what is wrong with runs that are to replace those of the table.
func (t runTable) fits(runs []PhysicalMemoryRun64) error {
	if len(runs) > len(t.runs) {
		return t.countProblem(fmt.Sprintf("0x%x", len(runs)))
	}
	room := make([]PhysicalMemoryRun64, len(t.runs))
	copy(room, runs)
	t.count, t.pages, t.runs = uint32(len(runs)), sumPages(runs), room //nolint:gosec // at most len(room)
	if _, problems := t.usable(); len(problems) > 0 {
		return problems[0]
	}
	return nil
}

// paged returns the runs that have pages, and nil if a problem is not
// repairable.
func (t runTable) paged() ([]namedRun, []Problem) {
	if t.count == 0 || uint64(t.count) > uint64(len(t.runs)) {
		return nil, []Problem{t.countProblem(hex(t.count))}
	}
	var runs []namedRun
	var problems []Problem
	bad := false
	for i, run := range t.runs[:t.count] {
		named := namedRun{run, i, t.tableLayout}
		if run.PageCount == 0 {
			problems = append(problems, named.problem(".PageCount",
				t.offsetPageCnt, "0x0", "at least one page", true))
			continue
		}
		if p := named.checkLimits(); p != nil {
			problems = append(problems, *p)
			bad = true
		}
		runs = append(runs, named)
	}
	if len(runs) == 0 {
		problems = append(problems, t.countProblem(fmt.Sprintf("0x%x, all of them empty", t.count)))
		bad = true
	}
	if bad {
		return nil, problems
	}
	return runs, problems
}

func (t runTable) countProblem(got string) Problem {
	return Problem{
		Field:  "NumberOfRuns",
		Offset: int(t.offsetCount),
		Got:    got,
		Want:   fmt.Sprintf("1 to %d runs with pages", len(t.runs)),
	}
}

// checkLimits returns what is wrong with a run that passes maxPFN. Compared by
// subtraction, so that no sum can wrap.
func (r namedRun) checkLimits() *Problem {
	var p Problem
	switch {
	case r.BasePage >= r.maxPFN:
		p = r.problem(".BasePage", r.offsetBasePage, hex(r.BasePage),
			fmt.Sprintf("below 0x%x, %s", r.maxPFN, r.because), false)
	case r.PageCount > r.maxPFN-r.BasePage:
		p = r.problem(".PageCount", r.offsetPageCnt, hex(r.PageCount),
			fmt.Sprintf("at most 0x%x, %s", r.maxPFN-r.BasePage, r.because), false)
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
			problems = append(problems, runs[i].problem(".BasePage", runs[i].offsetBasePage,
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
