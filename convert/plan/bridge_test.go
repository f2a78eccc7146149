package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/physmem"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	runs := physmem.Runs{{BasePage: 0, PageCount: 2}, {BasePage: 10, PageCount: 1}, {BasePage: 13, PageCount: 1}, {BasePage: 100, PageCount: 5}, {BasePage: 107, PageCount: 1}}
	for _, tc := range []struct {
		most int
		want physmem.Runs
		gaps []physmem.Range
	}{
		{5, runs, nil},
		{4, physmem.Runs{runs[0], {BasePage: 10, PageCount: 4}, runs[3], runs[4]}, []physmem.Range{physmem.Span(11<<12, 13<<12)}},
		{3, physmem.Runs{runs[0], {BasePage: 10, PageCount: 4}, {BasePage: 100, PageCount: 8}}, []physmem.Range{physmem.Span(11<<12, 13<<12), physmem.Span(105<<12, 107<<12)}},
		{2, physmem.Runs{{BasePage: 0, PageCount: 14}, {BasePage: 100, PageCount: 8}}, []physmem.Range{physmem.Span(2<<12, 10<<12), physmem.Span(11<<12, 13<<12), physmem.Span(105<<12, 107<<12)}},
	} {
		got, gaps := nearest(runs, tc.most)
		assert.Equal(t, tc.want, got)
		assert.Equal(t, tc.gaps, gaps)
	}
}
