package finding

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFindingsAreDocumented keeps docs/findings.md and the kinds in step.
func TestFindingsAreDocumented(t *testing.T) {
	t.Parallel()
	var want strings.Builder
	want.WriteString("| ID | Severity | What it means | What to do |\n| --- | --- | --- | --- |\n")
	for _, k := range Kinds() {
		advice := k.Advice()
		if advice == "" {
			advice = "–"
		}
		fmt.Fprintf(&want, "| %s | %s | %s | %s |\n", k.ID(), k.Severity(), k.Title(), advice)
	}
	doc, err := os.ReadFile("../../docs/findings.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(doc), "\n\n| ID ")
	assert.Equal(t, want.String(), "| ID "+table)
}

func TestKinds(t *testing.T) {
	t.Parallel()
	list := Kinds()
	require.NotEmpty(t, list)
	assert.True(t, slices.IsSortedFunc(list, func(a, b Kind) int { return strings.Compare(a.ID(), b.ID()) }), "a new kind stands in the order of the IDs")
	seen := map[string]bool{}
	for _, k := range list {
		assert.Regexp(t, `^WD[1-6]\d\d$`, k.ID())
		assert.False(t, seen[k.ID()], "%s is declared once", k.ID())
		seen[k.ID()] = true
		assert.GreaterOrEqual(t, k.Severity().Rank(), 0, k.ID())
		assert.Regexp(t, `\.$`, k.Title(), k.ID())
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	want := Finding{ID: "WD601", Severity: SeverityFail, Message: "3 bytes", Where: "PA 0x1000", Advice: TooLarge.Advice()}
	assert.Equal(t, want, TooLarge.At("PA 0x1000", "%d bytes", 3))
	want.Advice = "Shrink it."
	assert.Equal(t, want, TooLarge.WithAdvice("Shrink it.").At("PA 0x1000", "%d bytes", 3))
	assert.NotEqual(t, "Shrink it.", TooLarge.Advice(), "the kind stays as it is")
}
