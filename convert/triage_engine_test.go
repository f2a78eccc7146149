package convert_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/inspect"
)

// TestCheckAgreesOnTriageDumps: what Microsoft's debugger engine rejects is FAIL, what
// it opens with a complaint is never OK, what it opens clean is never FAIL, and what
// nothing was changed in is OK.
func TestCheckAgreesOnTriageDumps(t *testing.T) {
	t.Parallel()
	verdicts := engineVerdicts(t, "triage-verdicts.txt")
	n := 0
	for _, s := range triageSamples {
		base := triageOf(t, winDump(t, s.sample))
		for _, m := range triageMutants() {
			if m.name != "good" && !s.mutants {
				continue
			}
			name := m.name + "-" + s.name
			want, ok := verdicts[name]
			require.True(t, ok, "%s has no verdict", name)
			n++
			d := base.clone()
			m.change(d)
			f := checkBytes(d.b, inspect.CheckQuick)
			assertSaid(t, f.Findings)
			switch want[0] {
			case "rejected":
				assert.Equal(t, "FAIL", f.Verdict, "%s: the engine rejects it: %s; here: %s", name, want[1], f.Reason)
			case "degraded":
				assert.NotEqual(t, "OK", f.Verdict, "%s: the engine complains: %s", name, want[1])
			case "clean":
				assert.NotEqual(t, "FAIL", f.Verdict, "%s: the engine opens it clean; here: %s", name, f.Reason)
			default:
				assert.Fail(t, "unknown verdict", want[0])
			}
			if m.name == "good" {
				assert.Equal(t, "OK", f.Verdict, "%s: %s", name, f.Reason)
			}
		}
	}
	assert.Len(t, verdicts, n, "a verdict of a mutant that is no more")
}
