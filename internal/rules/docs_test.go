package rules

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// named is a path of this repository between backquotes: it begins with a folder
// that is there, and may have a star.
var named = regexp.MustCompile("`((?:cmd|convert|docs|examples|internal|kdbg|physmem|scripts|tools|vtop|winhdr)/[A-Za-z0-9_./*-]*)`")

// What CONTRIBUTING and the design name is there.
func TestDocsNameWhatIsThere(t *testing.T) {
	for _, doc := range []string{"CONTRIBUTING.md", "docs/design.md"} {
		text, err := os.ReadFile(filepath.Join(root, doc))
		require.NoError(t, err)
		found := named.FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, found, doc)
		for _, m := range found {
			name, _ := strings.CutSuffix(m[1], "/...")
			list, err := filepath.Glob(filepath.Join(root, name))
			require.NoError(t, err, name)
			assert.NotEmpty(t, list, "%s: %s is not there", doc, name)
		}
	}
}

// The README is read to its end: it stays below 120 lines.
func TestReadmeIsShort(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	assert.Less(t, strings.Count(string(text), "\n"), 120)
}

var (
	testName  = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9_]*\b`)
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)\(`)
	backquote = regexp.MustCompile("`([^`]+)`")
)

// Documents rest on tests and benchmarks: those that they name are there.
func TestDocsNameTestsThatAreThere(t *testing.T) {
	there := testFunctions(t)
	require.NotEmpty(t, there)
	all := map[string]bool{}
	for _, names := range there {
		maps.Copy(all, names)
	}
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	guides, err := filepath.Glob(filepath.Join(root, "docs", "guides", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, guides)
	for _, doc := range append(docs, guides...) {
		text, err := os.ReadFile(doc)
		require.NoError(t, err)
		for _, name := range testName.FindAllString(string(text), -1) {
			assert.True(t, all[name], "%s: there is no %s", doc, name)
		}
	}
	for _, b := range benchmarks(t) {
		assert.True(t, there[b.dir]["Benchmark"+b.name], "docs/performance.md: there is no benchmark %s in %s", b.name, b.dir)
	}
}

// testFunctions are the names of tests, fuzz targets and benchmarks, by folder.
func testFunctions(t *testing.T) map[string]map[string]bool {
	t.Helper()
	out := map[string]map[string]bool{}
	tree := os.DirFS(root)
	require.NoError(t, fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "node_modules" || e.Name() == ".git"):
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			dir := path.Dir(name)
			if out[dir] == nil {
				out[dir] = map[string]bool{}
			}
			out[dir][string(m[1])] = true
		}
		return err
	}))
	return out
}

// benchmark is one that a row of docs/performance.md names: its folder, and its name
// without Benchmark.
type benchmark struct{ dir, name string }

// benchmarks reads the table of docs/performance.md: in a cell, folders with their
// benchmarks stand between semicolons.
func benchmarks(t *testing.T) (out []benchmark) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "performance.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| benchmark | what |\n| --- | --- |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		cell := strings.Split(row, "|")[1]
		for group := range strings.SplitSeq(cell, ";") {
			words := backquote.FindAllStringSubmatch(group, -1)
			for _, name := range words[1:] {
				out = append(out, benchmark{words[0][1], name[1]})
			}
		}
	}
	require.NotEmpty(t, out)
	return out
}
