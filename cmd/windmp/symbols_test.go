package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/convert/inspect"
)

// TestComplainUnreadable: the lists for machines name some of the images that they leave
// out and count the others, of which a small dump has hundreds.
func TestComplainUnreadable(t *testing.T) {
	t.Parallel()
	for n, lines := range map[int]int{0: 0, namedUnreadable: namedUnreadable, 200: namedUnreadable + 1} {
		var errs bytes.Buffer
		r := &inspect.SymbolsReport{Modules: make([]inspect.SymbolModule, n+1)}
		r.Modules[0].Readable = true
		for i := range n {
			r.Modules[i+1].Name = fmt.Sprintf("a%d.sys", i)
		}
		(&app{stderr: &errs}).complainUnreadable(r)
		assert.Equal(t, lines, strings.Count(errs.String(), "\n"), errs.String())
		assert.Equal(t, n > namedUnreadable, strings.Contains(errs.String(), "192 more of 201 images"), errs.String())
	}
}
