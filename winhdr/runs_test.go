package winhdr

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/winhdr/problem"
)

// withTable gives a header a run table as it is, right or not.
func withTable(h *Header, count uint32, pages uint64, runs ...physmem.Run) *Header {
	h.edit(func(b []byte) {
		h.format.Header.Store(b, "NumberOfRuns", uint64(count))
		h.format.Header.Store(b, "NumberOfPages", pages)
		for i, r := range runs {
			base, n := h.format.run(i)
			base.Store(b, 0, r.BasePage)
			n.Store(b, 0, r.PageCount)
		}
	})
	return h
}

// withRuns returns a header whose count and sum fit the runs.
func withRuns(runs ...physmem.Run) *Header {
	return withTable(X64.New(), uint32(len(runs)), physmem.Runs(runs).Pages(), runs...)
}

func withCount(h *Header, count uint32) *Header { return withTable(h, count, h.RunTable().Pages) }

func withPages(h *Header, pages uint64) *Header { return withTable(h, h.RunTable().Count, pages) }

func TestRuns(t *testing.T) {
	t.Parallel()
	type runs = physmem.Runs
	full := make(runs, maxRuns64)
	for i := range full {
		full[i] = physmem.Run{BasePage: uint64(i) * 0x10, PageCount: 0x8}
	}
	tests := []struct {
		name     string
		header   *Header
		want     runs
		problems []string
	}{
		{"good", withRuns(runs{{BasePage: 1, PageCount: 0x9e}, {BasePage: 0x100, PageCount: 0x10}}...), runs{{BasePage: 1, PageCount: 0x9e}, {BasePage: 0x100, PageCount: 0x10}}, nil},
		{"as many as fit", withRuns(full...), full, nil},
		{
			"up to the last page of 52 bits",
			withRuns(runs{{BasePage: physmem.MaxPFN - 1, PageCount: 1}}...),
			runs{{BasePage: physmem.MaxPFN - 1, PageCount: 1}},
			nil,
		},
		{
			"adjacent stay apart",
			withRuns(runs{{BasePage: 0, PageCount: 0x10}, {BasePage: 0x10, PageCount: 0x10}}...),
			runs{{BasePage: 0, PageCount: 0x10}, {BasePage: 0x10, PageCount: 0x10}},
			nil,
		},
		{
			"empty is dropped",
			withRuns(runs{{BasePage: 1, PageCount: 0}, {BasePage: 2, PageCount: 3}, {BasePage: problem.Fill64, PageCount: 0}}...),
			runs{{BasePage: 2, PageCount: 3}},
			[]string{
				"Run[0].PageCount at 0xa0: got 0x0, want at least one page",
				"Run[2].PageCount at 0xc0: got 0x0, want at least one page",
			},
		},
		{
			"unordered is sorted",
			withRuns(runs{{BasePage: 0x200, PageCount: 1}, {BasePage: 0x100, PageCount: 1}, {BasePage: 0x300, PageCount: 1}}...),
			runs{{BasePage: 0x100, PageCount: 1}, {BasePage: 0x200, PageCount: 1}, {BasePage: 0x300, PageCount: 1}},
			[]string{"Run[1].BasePage at 0xa8: got 0x100, want at least 0x200, that of the run before"},
		},
		{
			"overlapping become one",
			withPages(withRuns(runs{{BasePage: 0x100, PageCount: 0x20}, {BasePage: 0x110, PageCount: 0x20}}...), 0x30),
			runs{{BasePage: 0x100, PageCount: 0x30}},
			[]string{"Run[1] at 0xa8: got pages 0x110 to 0x12f, want no page of run 0, pages 0x100 to 0x11f"},
		},
		{
			"one inside another",
			withPages(withRuns(runs{{BasePage: 0x100, PageCount: 0x20}, {BasePage: 0x108, PageCount: 1}, {BasePage: 0x10a, PageCount: 1}}...), 0x20),
			runs{{BasePage: 0x100, PageCount: 0x20}},
			[]string{
				"Run[1] at 0xa8: got pages 0x108 to 0x108, want no page of run 0, pages 0x100 to 0x11f",
				"Run[2] at 0xb8: got pages 0x10a to 0x10a, want no page of run 0, pages 0x100 to 0x11f",
			},
		},
		{
			"twice the same, and adjacent to the next",
			withRuns(runs{{BasePage: 0x100, PageCount: 1}, {BasePage: 0x100, PageCount: 1}, {BasePage: 0x101, PageCount: 1}}...),
			runs{{BasePage: 0x100, PageCount: 1}, {BasePage: 0x101, PageCount: 1}},
			[]string{
				"Run[1] at 0xa8: got pages 0x100 to 0x100, want no page of run 0, pages 0x100 to 0x100",
				"NumberOfPages at 0x90: got 0x3, want 0x2, the sum over the runs",
			},
		},
		{
			"unordered and overlapping",
			withPages(withRuns(runs{{BasePage: 0x110, PageCount: 0x10}, {BasePage: 0x100, PageCount: 0x18}}...), 0x20),
			runs{{BasePage: 0x100, PageCount: 0x20}},
			[]string{
				"Run[1].BasePage at 0xa8: got 0x100, want at least 0x110, that of the run before",
				"Run[0] at 0x98: got pages 0x110 to 0x11f, want no page of run 1, pages 0x100 to 0x117",
			},
		},
		{
			"wrong sum",
			withPages(withRuns(runs{{BasePage: 1, PageCount: 2}}...), 7),
			runs{{BasePage: 1, PageCount: 2}},
			[]string{"NumberOfPages at 0x90: got 0x7, want 0x2, the sum over the runs"},
		},
		{
			"sum never set",
			withPages(withRuns(runs{{BasePage: 1, PageCount: 2}}...), problem.Fill64),
			runs{{BasePage: 1, PageCount: 2}},
			[]string{"NumberOfPages at 0x90: got 0x4547415045474150 ('PAGE' fill, never set), want 0x2, the sum over the runs"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := tt.header.Clone()
			got, problems := tt.header.Runs()
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.problems, messages(problems))
			for _, p := range problems {
				assert.True(t, p.Repairable, p.Field)
			}
			assert.Equal(t, before, tt.header, "the header is not changed")
		})
	}
}

func TestRunsNotRepairable(t *testing.T) {
	t.Parallel()
	run := func(base, count uint64) *Header {
		return withRuns(physmem.Run{BasePage: 1, PageCount: 1}, physmem.Run{BasePage: base, PageCount: count})
	}
	const want = "want 1 to 42 runs with pages"
	tests := []struct {
		name   string
		header *Header
		text   string
	}{
		{"none", withRuns(), "NumberOfRuns at 0x88: got 0x0, " + want},
		{"43", withCount(run(2, 1), 43), "NumberOfRuns at 0x88: got 0x2b, " + want},
		{"all bits", withCount(run(2, 1), 0xffffffff), "NumberOfRuns at 0x88: got 0xffffffff, " + want},
		{"never set", withCount(run(2, 1), problem.Fill), "NumberOfRuns at 0x88: got 0x45474150 ('PAGE' fill, never set), " + want},
		{"all empty", withCount(X64.New(), 2), "NumberOfRuns at 0x88: got 0x2, all of them empty, " + want},
		{
			"wraps", run(1, ^uint64(0)),
			"Run[1].PageCount at 0xb0: got 0xffffffffffffffff, want at most 0xffffffffff, physical addresses having 52 bits",
		},
		{
			"wraps to nothing", run(^uint64(0), 1),
			"Run[1].BasePage at 0xa8: got 0xffffffffffffffff, want below 0x10000000000, physical addresses having 52 bits",
		},
		{
			"starts past 52 bits", run(physmem.MaxPFN, 1),
			"Run[1].BasePage at 0xa8: got 0x10000000000, want below 0x10000000000, physical addresses having 52 bits",
		},
		{
			"ends past 52 bits", run(physmem.MaxPFN-1, 2),
			"Run[1].PageCount at 0xb0: got 0x2, want at most 0x1, physical addresses having 52 bits",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, problems := tt.header.Runs()
			assert.Nil(t, got)
			require.NotEmpty(t, problems)
			last := problems[len(problems)-1]
			assert.False(t, last.Repairable)
			assert.EqualError(t, last, tt.text)
		})
	}
}

func TestSetRuns(t *testing.T) {
	t.Parallel()
	const at, size = 0x98, 0x10
	raw := goodHeader().Encode()
	problem.PageFill(raw[at+2*size : at+42*size])
	h, err := X64.Decode(raw)
	require.NoError(t, err)

	require.NoError(t, h.SetRuns(physmem.Runs{{BasePage: 5, PageCount: 7}}))
	assert.Equal(t, RunTable{1, 7, physmem.Runs{{BasePage: 5, PageCount: 7}}}, h.RunTable())
	after := h.Encode()
	assert.Equal(t, make([]byte, size), after[at+size:at+2*size], "an entry that goes away")
	assert.Equal(t, raw[at+2*size:], after[at+2*size:], "entries that were none, and the rest")
	assert.Equal(t, raw[:0x88], after[:0x88])
	assert.Equal(t, raw[0x8c:0x90], after[0x8c:0x90], "alignment")

	// What Runs gives back can be set, and then nothing is wrong any more.
	h = withRuns(physmem.Run{BasePage: 9, PageCount: 4}, physmem.Run{BasePage: 0, PageCount: 0}, physmem.Run{BasePage: 8, PageCount: 3})
	runs, problems := h.Runs()
	require.NotEmpty(t, problems)
	require.NoError(t, h.SetRuns(runs))
	again, problems := h.Runs()
	assert.Equal(t, runs, again)
	assert.Empty(t, problems)

	// A count that is none counts as all.
	h, err = X64.Decode(raw)
	require.NoError(t, err)
	require.NoError(t, withCount(h, problem.Fill).SetRuns(physmem.Runs{{BasePage: 5, PageCount: 7}}))
	assert.Equal(t, make([]byte, 41*size), h.Encode()[at+size:at+42*size])
}

func TestSetRunsRefuses(t *testing.T) {
	t.Parallel()
	type runs = physmem.Runs
	for name, bad := range map[string]runs{
		"none":        nil,
		"too many":    make(runs, maxRuns64+1),
		"unordered":   {{BasePage: 2, PageCount: 1}, {BasePage: 1, PageCount: 1}},
		"empty":       {{BasePage: 2, PageCount: 1}, {BasePage: 3, PageCount: 0}},
		"overlapping": {{BasePage: 2, PageCount: 2}, {BasePage: 3, PageCount: 1}},
		"too high":    {{BasePage: physmem.MaxPFN, PageCount: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := goodHeader()
			before := h.Clone()
			var p problem.Problem
			require.ErrorAs(t, h.SetRuns(bad), &p)
			assert.Equal(t, before, h)
		})
	}
}

func messages(problems []problem.Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Error())
	}
	return out
}
