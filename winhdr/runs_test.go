package winhdr

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withTable gives a header a run table as it is, right or not.
func withTable(h *Header, count uint32, pages uint64, runs ...pageRun) *Header {
	h.edit(func(b []byte) {
		h.format.Header.store(b, "NumberOfRuns", uint64(count))
		h.format.Header.store(b, "NumberOfPages", pages)
		for i, r := range runs {
			base, n := h.format.run(i)
			base.store(b, 0, r.BasePage)
			n.store(b, 0, r.PageCount)
		}
	})
	return h
}

// withRuns returns a header whose count and sum fit the runs.
func withRuns(runs ...pageRun) *Header {
	return withTable(X64.New(), uint32(len(runs)), sumPages(runs), runs...)
}

func withCount(h *Header, count uint32) *Header { return withTable(h, count, h.RunTable().Pages) }

func withPages(h *Header, pages uint64) *Header { return withTable(h, h.RunTable().Count, pages) }

func TestRuns(t *testing.T) {
	t.Parallel()
	type runs = pageRuns
	full := make(runs, maxRuns64)
	for i := range full {
		full[i] = pageRun{uint64(i) * 0x10, 0x8}
	}
	tests := []struct {
		name     string
		header   *Header
		want     runs
		problems []string
	}{
		{"good", withRuns(runs{{1, 0x9e}, {0x100, 0x10}}...), runs{{1, 0x9e}, {0x100, 0x10}}, nil},
		{"as many as fit", withRuns(full...), full, nil},
		{
			"up to the last page of 52 bits",
			withRuns(runs{{pfnLimit64 - 1, 1}}...),
			runs{{pfnLimit64 - 1, 1}},
			nil,
		},
		{
			"adjacent stay apart",
			withRuns(runs{{0, 0x10}, {0x10, 0x10}}...),
			runs{{0, 0x10}, {0x10, 0x10}},
			nil,
		},
		{
			"empty is dropped",
			withRuns(runs{{1, 0}, {2, 3}, {Fill64, 0}}...),
			runs{{2, 3}},
			[]string{
				"Run[0].PageCount at 0xa0: got 0x0, want at least one page",
				"Run[2].PageCount at 0xc0: got 0x0, want at least one page",
			},
		},
		{
			"unordered is sorted",
			withRuns(runs{{0x200, 1}, {0x100, 1}, {0x300, 1}}...),
			runs{{0x100, 1}, {0x200, 1}, {0x300, 1}},
			[]string{"Run[1].BasePage at 0xa8: got 0x100, want at least 0x200, that of the run before"},
		},
		{
			"overlapping become one",
			withPages(withRuns(runs{{0x100, 0x20}, {0x110, 0x20}}...), 0x30),
			runs{{0x100, 0x30}},
			[]string{"Run[1] at 0xa8: got pages 0x110 to 0x12f, want no page of run 0, pages 0x100 to 0x11f"},
		},
		{
			"one inside another",
			withPages(withRuns(runs{{0x100, 0x20}, {0x108, 1}, {0x10a, 1}}...), 0x20),
			runs{{0x100, 0x20}},
			[]string{
				"Run[1] at 0xa8: got pages 0x108 to 0x108, want no page of run 0, pages 0x100 to 0x11f",
				"Run[2] at 0xb8: got pages 0x10a to 0x10a, want no page of run 0, pages 0x100 to 0x11f",
			},
		},
		{
			"twice the same, and adjacent to the next",
			withRuns(runs{{0x100, 1}, {0x100, 1}, {0x101, 1}}...),
			runs{{0x100, 1}, {0x101, 1}},
			[]string{
				"Run[1] at 0xa8: got pages 0x100 to 0x100, want no page of run 0, pages 0x100 to 0x100",
				"NumberOfPages at 0x90: got 0x3, want 0x2, the sum over the runs",
			},
		},
		{
			"unordered and overlapping",
			withPages(withRuns(runs{{0x110, 0x10}, {0x100, 0x18}}...), 0x20),
			runs{{0x100, 0x20}},
			[]string{
				"Run[1].BasePage at 0xa8: got 0x100, want at least 0x110, that of the run before",
				"Run[0] at 0x98: got pages 0x110 to 0x11f, want no page of run 1, pages 0x100 to 0x117",
			},
		},
		{
			"wrong sum",
			withPages(withRuns(runs{{1, 2}}...), 7),
			runs{{1, 2}},
			[]string{"NumberOfPages at 0x90: got 0x7, want 0x2, the sum over the runs"},
		},
		{
			"sum never set",
			withPages(withRuns(runs{{1, 2}}...), Fill64),
			runs{{1, 2}},
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
		return withRuns(pageRun{1, 1}, pageRun{base, count})
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
		{"never set", withCount(run(2, 1), Fill), "NumberOfRuns at 0x88: got 0x45474150 ('PAGE' fill, never set), " + want},
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
			"starts past 52 bits", run(pfnLimit64, 1),
			"Run[1].BasePage at 0xa8: got 0x10000000000, want below 0x10000000000, physical addresses having 52 bits",
		},
		{
			"ends past 52 bits", run(pfnLimit64-1, 2),
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
	PageFill(raw[at+2*size : at+42*size])
	h, err := X64.Decode(raw)
	require.NoError(t, err)

	require.NoError(t, h.SetRuns(pageRuns{{5, 7}}))
	assert.Equal(t, RunTable{1, 7, pageRuns{{5, 7}}}, h.RunTable())
	after := h.Encode()
	assert.Equal(t, make([]byte, size), after[at+size:at+2*size], "an entry that goes away")
	assert.Equal(t, raw[at+2*size:], after[at+2*size:], "entries that were none, and the rest")
	assert.Equal(t, raw[:0x88], after[:0x88])
	assert.Equal(t, raw[0x8c:0x90], after[0x8c:0x90], "alignment")

	// What Runs gives back can be set, and then nothing is wrong any more.
	h = withRuns(pageRun{9, 4}, pageRun{0, 0}, pageRun{8, 3})
	runs, problems := h.Runs()
	require.NotEmpty(t, problems)
	require.NoError(t, h.SetRuns(runs))
	again, problems := h.Runs()
	assert.Equal(t, runs, again)
	assert.Empty(t, problems)

	// A count that is none counts as all.
	h, err = X64.Decode(raw)
	require.NoError(t, err)
	require.NoError(t, withCount(h, Fill).SetRuns(pageRuns{{5, 7}}))
	assert.Equal(t, make([]byte, 41*size), h.Encode()[at+size:at+42*size])
}

func TestSetRunsRefuses(t *testing.T) {
	t.Parallel()
	type runs = pageRuns
	for name, bad := range map[string]runs{
		"none":        nil,
		"too many":    make(runs, maxRuns64+1),
		"unordered":   {{2, 1}, {1, 1}},
		"empty":       {{2, 1}, {3, 0}},
		"overlapping": {{2, 2}, {3, 1}},
		"too high":    {{pfnLimit64, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := goodHeader()
			before := h.Clone()
			var p Problem
			require.ErrorAs(t, h.SetRuns(bad), &p)
			assert.Equal(t, before, h)
		})
	}
}

func messages(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Error())
	}
	return out
}
