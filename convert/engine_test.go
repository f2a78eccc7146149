package convert_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/inspect"
	"windmp/convert/source"
)

// engineVerdicts reads what Microsoft's debugger engine said of each mutant, from a
// file of testdata.
func engineVerdicts(tb testing.TB, file string) map[string][2]string {
	tb.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	require.NoError(tb, err)
	defer f.Close()
	verdicts := map[string][2]string{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		col := strings.Split(s.Text(), "\t")
		require.Len(tb, col, 3, s.Text())
		verdicts[col[0]] = [2]string{col[1], col[2]}
	}
	require.NoError(tb, s.Err())
	return verdicts
}

// TestCheckAgreesWithTheEngine: what Microsoft's debugger engine rejects is
// FAIL, what it opens with a complaint is never OK, what it opens clean is never
// FAIL.
func TestCheckAgreesWithTheEngine(t *testing.T) {
	t.Parallel()
	verdicts := engineVerdicts(t, "engine-verdicts.txt")
	bases := mutantBases(t)
	seen := map[string]bool{}
	counts := map[[2]string]int{} // by the engine's verdict and the check's
	var made room
	for _, m := range mutants() {
		require.False(t, seen[m.name], "%s is there twice", m.name)
		seen[m.name] = true
		want, ok := verdicts[m.name]
		require.True(t, ok, "%s has no verdict", m.name)
		f := checkBytes(m.build(bases, &made), inspect.CheckQuick)
		assertSaid(t, f.Findings)
		counts[[2]string{want[0], f.Verdict}]++
		switch want[0] {
		case "rejected":
			assert.Equal(t, "FAIL", f.Verdict, "%s: the engine rejects it: %s; here: %s", m.name, want[1], f.Reason)
		case "degraded":
			assert.NotEqual(t, "OK", f.Verdict, "%s: the engine complains: %s", m.name, want[1])
		case "clean":
			assert.NotEqual(t, "FAIL", f.Verdict, "%s: the engine opens it clean; here: %s", m.name, f.Reason)
		default:
			assert.Fail(t, "unknown verdict", want[0])
		}
		if m.name == "good-odd-runs-2cpu" { // its header lists less than its kernel does
			assert.Equal(t, "WARN", f.Verdict, m.name)
			continue
		}
		if strings.HasPrefix(m.name, "good-") && want[0] == "clean" {
			assert.Equal(t, "OK", f.Verdict, "%s: %s", m.name, f.Reason)
		}
	}
	made.putBack()
	made.check()
	assert.Len(t, verdicts, len(seen), "a verdict of a mutant that is no more")
	validationCounts(t, counts)
}

// validationCounts: docs/validation.md has the numbers.
func validationCounts(t *testing.T, counts map[[2]string]int) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "validation.md"))
	require.NoError(t, err)
	n := func(engine, verdict string) int { return counts[[2]string{engine, verdict}] }
	warn, fail, unknown := n("degraded", "WARN"), n("degraded", "FAIL"), n("degraded", "UNKNOWN")
	ok, odd, unsure := n("clean", "OK"), n("clean", "WARN"), n("clean", "UNKNOWN")
	for _, row := range []string{
		fmt.Sprintf("| rejected | %d | FAIL, all |\n", n("rejected", "FAIL")),
		fmt.Sprintf("| degraded | %d | WARN %d, FAIL %d, UNKNOWN %d; never OK |\n", warn+fail+unknown, warn, fail, unknown),
		fmt.Sprintf("| clean | %d | OK %d, WARN %d, UNKNOWN %d; never FAIL |\n", ok+odd+unsure, ok, odd, unsure),
	} {
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/validation.md lacks: %s", row)
		}
	}
}

// checkBytes checks a file in memory.
func checkBytes(b []byte, level inspect.CheckLevel) *inspect.FileCheck {
	return checkInput(context.Background(), source.Reader("", bytes.NewReader(b), int64(len(b))), inspect.CheckOptions{Level: level})
}

// checkFile checks one file.
func checkFile(ctx context.Context, path string, opt inspect.CheckOptions) *inspect.FileCheck {
	return checkInput(ctx, source.File(path), opt)
}

func checkInput(ctx context.Context, in source.Input, opt inspect.CheckOptions) *inspect.FileCheck {
	r, err := inspect.Check(ctx, opt, in)
	if err != nil {
		panic(err) // a mistake of the test
	}
	return &r.Files[0]
}

// checkFiles checks some files.
func checkFiles(ctx context.Context, paths []string, opt inspect.CheckOptions) *inspect.CheckReport {
	inputs := make([]source.Input, 0, len(paths))
	for _, path := range paths {
		inputs = append(inputs, source.File(path))
	}
	r, err := inspect.Check(ctx, opt, inputs...)
	if err != nil {
		panic(err) // a mistake of the test
	}
	return r
}
