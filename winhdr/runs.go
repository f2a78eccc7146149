package winhdr

import (
	"cmp"
	"fmt"
	"slices"

	"windmp/physmem"
	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
)

// RunTable is the run table as it stands in a header: nothing in it is judged.
type RunTable struct {
	// Count is NumberOfRuns, Pages is NumberOfPages, which need not be the sum
	// over the runs.
	Count uint32
	Pages uint64
	// Runs are the first Count entries, as far as the header has room for them.
	Runs []physmem.Run
}

// RunTable returns the run table as it stands in the header. See Runs for one that
// can be used.
func (h *Header) RunTable() RunTable {
	f := h.format
	t := RunTable{Count: uint32(f.Header.Load(h.raw, "NumberOfRuns")), Pages: f.Header.Load(h.raw, "NumberOfPages")} //nolint:gosec // the field has 32 bits
	table := f.runFields()
	n := int(min(int64(t.Count), int64(table.count)))
	if n > 0 {
		t.Runs = make([]physmem.Run, n) // at most what the header has room for
	}
	for i := range t.Runs {
		base, count := table.at(i)
		t.Runs[i] = physmem.Run{BasePage: base.Load(h.raw, 0), PageCount: count.Load(h.raw, 0)}
	}
	return t
}

// runFields is where the entries of the run table stand.
type runFields struct {
	base, pages   fields.Field // of the first
	count, stride int
}

func (f *Format) runFields() runFields {
	table := f.part("Run")
	return runFields{f.part("Run[0].BasePage"), f.part("Run[0].PageCount"), table.Count, table.Size / table.Count}
}

// at is where the two fields of run i stand in the header.
func (r runFields) at(i int) (base, pages fields.Field) {
	base, pages = r.base, r.pages
	base.Offset += i * r.stride
	pages.Offset += i * r.stride
	return base, pages
}

// run is where the two fields of run i stand in the header.
func (f *Format) run(i int) (base, pages fields.Field) { return f.runFields().at(i) }

// namedRun is a run with its place in the header.
type namedRun struct {
	physmem.Run
	index int
}

// problem is one with the run, or with the field of it that at is.
func (r namedRun) problem(field string, at fields.Field, got, want string, repairable bool) problem.Problem {
	return problem.Problem{
		Field: fmt.Sprintf("Run[%d]%s", r.index, field), Offset: at.Offset,
		Got: got, Want: want, Repairable: repairable,
	}
}

func (r namedRun) String() string {
	return fmt.Sprintf("pages 0x%x to 0x%x", r.BasePage, r.End()-1)
}

// Runs returns the run table as it can be used: at least one run, ascending,
// none empty, none overlapping another, all below Format.PFNLimit. It also returns
// what was wrong with the table in the header, nothing if it can be used as it
// is. The header is not changed. One rule for each oddity:
//
//   - NumberOfRuns is 0, more than Format.MaxRuns or never set: not repairable.
//   - A run passes PFNLimit, or wraps: not repairable.
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
func (h *Header) Runs() (physmem.Runs, []problem.Problem) { return h.format.usable(h.RunTable()) }

// usable is Runs.
func (f *Format) usable(t RunTable) (physmem.Runs, []problem.Problem) {
	runs, problems := f.paged(t)
	if runs == nil {
		return nil, problems
	}
	problems = append(problems, f.sortRuns(runs)...)
	united, more := f.uniteRuns(runs)
	problems = append(problems, more...)

	if sum := united.Pages(); sum != t.Pages {
		problems = append(problems, problem.Problem{
			Field: "NumberOfPages", Offset: f.Offset("NumberOfPages"),
			Got: problem.Hex(t.Pages), Want: fmt.Sprintf("0x%x, the sum over the runs", sum), Fault: "is not the sum over the runs",
			Repairable: true,
		})
	}
	return united, problems
}

// SetRuns replaces the run table and sets NumberOfRuns and NumberOfPages. Runs
// must be as Runs returns them: otherwise the header stays as it is and the
// error is a Problem. Entries behind the last run keep their bytes, but for
// those that were runs before: these become zero.
func (h *Header) SetRuns(runs physmem.Runs) error {
	f := h.format
	if len(runs) > f.MaxRuns() {
		return f.countProblem(fmt.Sprintf("0x%x", len(runs)))
	}
	t := RunTable{Count: uint32(len(runs)), Pages: runs.Pages(), Runs: runs} //nolint:gosec // at most MaxRuns
	if _, problems := f.usable(t); len(problems) > 0 {
		return problems[0]
	}
	used := len(h.RunTable().Runs)
	h.edit(func(b []byte) {
		f.Header.Store(b, "NumberOfRuns", uint64(t.Count))
		f.Header.Store(b, "NumberOfPages", t.Pages)
		table := f.runFields()
		for i := range max(used, len(runs)) {
			var run physmem.Run
			if i < len(runs) {
				run = runs[i]
			}
			base, count := table.at(i)
			base.Store(b, 0, run.BasePage)
			count.Store(b, 0, run.PageCount)
		}
	})
	return nil
}

// paged returns the runs that have pages, and nil if a problem is not
// repairable.
func (f *Format) paged(t RunTable) ([]namedRun, []problem.Problem) {
	if t.Count == 0 || uint64(t.Count) > uint64(len(t.Runs)) {
		return nil, []problem.Problem{f.countProblem(problem.Hex(t.Count))}
	}
	var runs []namedRun
	var problems []problem.Problem
	bad := false
	for i, run := range t.Runs {
		named := namedRun{run, i}
		if run.PageCount == 0 {
			_, count := f.run(i)
			problems = append(problems, named.problem(".PageCount", count, "0x0", "at least one page", true).Saying("is 0"))
			continue
		}
		if p := f.checkLimits(named); p != nil {
			problems = append(problems, *p)
			bad = true
		}
		runs = append(runs, named)
	}
	if len(runs) == 0 {
		problems = append(problems, f.countProblem(fmt.Sprintf("0x%x, all of them empty", t.Count)).Saying("counts runs that are all empty"))
		bad = true
	}
	if bad {
		return nil, problems
	}
	return runs, problems
}

func (f *Format) countProblem(got string) problem.Problem {
	return problem.Problem{
		Field: "NumberOfRuns", Offset: f.Offset("NumberOfRuns"),
		Got: got, Want: fmt.Sprintf("1 to %d runs with pages", f.MaxRuns()),
	}
}

// checkLimits returns what is wrong with a run that passes PFNLimit. Compared by
// subtraction, so that no sum can wrap.
func (f *Format) checkLimits(r namedRun) *problem.Problem {
	if r.BasePage < f.PFNLimit && r.PageCount <= f.PFNLimit-r.BasePage {
		return nil
	}
	base, count := f.run(r.index)
	p := r.problem(".PageCount", count, problem.Hex(r.PageCount),
		fmt.Sprintf("at most 0x%x, %s", f.PFNLimit-r.BasePage, f.PFNReason), false).Saying("is too large, " + f.PFNReason)
	if r.BasePage >= f.PFNLimit {
		p = r.problem(".BasePage", base, problem.Hex(r.BasePage), fmt.Sprintf("below 0x%x, %s", f.PFNLimit, f.PFNReason), false).Saying("is too large, " + f.PFNReason)
	}
	return &p
}

// sortRuns sorts by BasePage and names each run that started below the one
// before it.
func (f *Format) sortRuns(runs []namedRun) []problem.Problem {
	var problems []problem.Problem
	for i := 1; i < len(runs); i++ {
		if runs[i].BasePage < runs[i-1].BasePage {
			base, _ := f.run(runs[i].index)
			problems = append(problems, runs[i].problem(".BasePage", base, problem.Hex(runs[i].BasePage),
				fmt.Sprintf("at least 0x%x, that of the run before", runs[i-1].BasePage), true).Saying("is below that of the run before"))
		}
	}
	slices.SortStableFunc(runs, func(a, b namedRun) int { return cmp.Compare(a.BasePage, b.BasePage) })
	return problems
}

// uniteRuns joins sorted runs that share pages.
func (f *Format) uniteRuns(runs []namedRun) (physmem.Runs, []problem.Problem) {
	var problems []problem.Problem
	united := make([]namedRun, 0, len(runs))
	for _, run := range runs {
		if len(united) == 0 || run.BasePage >= united[len(united)-1].End() {
			united = append(united, run)
			continue
		}
		last := &united[len(united)-1]
		base, _ := f.run(run.index)
		problems = append(problems, run.problem("", base, run.String(),
			fmt.Sprintf("no page of run %d, %v", last.index, last), true).Saying(fmt.Sprintf("shares pages with run %d", last.index)))
		last.PageCount = max(last.End(), run.End()) - last.BasePage
	}
	out := make(physmem.Runs, len(united))
	for i, run := range united {
		out[i] = run.Run
	}
	return out, problems
}
