//go:build unix

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInContent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		a, b string
		want []string
	}{
		"equal":    {"x", "x", nil},
		"text":     {"one\ntwo\nthree\n", "one\n2\nthree\nfour\n", []string{"w -two", "w +2", "w +four"}},
		"values":   {`{"a":[1,2],"b":1}`, `{"a":[1,3],"c":1}`, []string{"w $.a[1]: 2 -> 3", "w -$.b: 1", "w +$.c: 1"}},
		"findings": {`{"findings":[1,2]}`, `{"findings":[2,3]}`, []string{"w $.findings -1", "w $.findings +3"}},
		"spaces":   {`{"a":1}`, `{"a": 1}`, []string{"w $: the same values, written otherwise"}},
		"bytes":    {"\x00ab", "\x00cdd", []string{"w: size 0x3 -> 0x4", "w: 1 ranges differ: 0x1 6162 -> 6364"}},
	} {
		assert.Equal(t, tt.want, inContent("w", []byte(tt.a), []byte(tt.b)), name)
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	in := `{"schema":"windmp/progress/v1","event":"stage","stage":"write","done":7,"total":9,"elapsed":0.00266,"rate":1.5e+06}
{"schema":"windmp/progress/v1","event":"bytes","stage":"write","done":8,"total":9,"elapsed":1,"rate":2}
open .out.dmp.4037264447.windmp-part
`
	want := `{"schema":"windmp/progress/v1","event":"stage","stage":"write","done":0,"total":9,"elapsed":0,"rate":0}
open .out.dmp.0.windmp-part
`
	assert.Equal(t, want, string(settle([]byte(in))))
}

// TestInFiles: of a report that was written to a file the times are no difference either.
func TestInFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	written := func(name, report string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(report), 0o600))
		return path
	}
	const one = "{\n  \"seconds\": 0.1,\n  \"output\": {\n    \"on_disk\": 1,\n    \"size\": 1\n  }\n}\n"
	a, b := written("a", one), written("b", strings.ReplaceAll(one, "1,", "2,"))
	list, err := inFiles("report.json", a, b)
	require.NoError(t, err)
	assert.Empty(t, list)
	list, err = inFiles("report.json", a, written("c", strings.ReplaceAll(one, "1\n", "2\n")))
	require.NoError(t, err)
	assert.Equal(t, []string{"report.json $.output.size: 1 -> 2"}, list)
}

// TestKnown: what the list explains is no error, the rest is told once a kind.
func TestKnown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "known.md")
	require.NoError(t, os.WriteFile(path, []byte("# Why\n(text)\n```\n^a.vmcore: check .*stdout \\+\nnever\n```\n"), 0o600))
	known, err := readKnown(path)
	require.NoError(t, err)
	wanted := difference{"a.vmcore: check a.vmcore", "stdout +x"}
	var out strings.Builder
	require.NoError(t, known.report(&out, []difference{wanted}, false))
	out.Reset()
	other := difference{"b.vmcore: info b.vmcore", "stdout +x"}
	require.ErrorIs(t, known.report(&out, []difference{wanted, other, other}, false), errDiffers)
	assert.Contains(t, out.String(), "3 differences, of them 1 explained, 2 not (1 kinds)")
	out.Reset()
	known.reportUnused(&out)
	assert.Equal(t, "no difference matches any more: never\n", out.String())
}

// TestCommittedList: docs/differences.md can be read.
func TestCommittedList(t *testing.T) {
	t.Parallel()
	_, err := readKnown("../../docs/differences.md")
	require.NoError(t, err)
}

// TestCases: a name is one case, or a list could not tell them apart.
func TestCases(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range allCases([]input{{name: "guest-bsod.vmcore", kind: whole}, {name: "x", kind: broken}}, nil) {
		assert.False(t, seen[c.name()], "%s is there twice", c.name())
		seen[c.name()] = true
	}
	some := allCases([]input{{name: "x", kind: whole}}, regexp.MustCompile("x: vtop .*levels=5"))
	assert.Len(t, some, 1)
}
