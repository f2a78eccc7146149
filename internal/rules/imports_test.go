package rules

import (
	"go/parser"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// rooms reads the order of the rooms from the table in docs/design.md: a room imports
// only rooms above it.
func rooms(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/design.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\n## The rooms\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	var out []string
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 2 {
			continue
		}
		for i, word := range strings.Split(cells[1], "`") {
			if i%2 == 1 {
				out = append(out, word)
			}
		}
	}
	require.NotEmpty(t, out)
	return out
}

// rule is one of depguard's.
type rule struct {
	Mode  string   `yaml:"list-mode"`
	Files []string `yaml:"files"`
	Allow []string `yaml:"allow"`
}

// rules reads those that list what a folder imports, by folder.
func rules(t *testing.T) map[string]rule {
	t.Helper()
	text, err := os.ReadFile(root + "/.golangci.yml")
	require.NoError(t, err)
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]rule `yaml:"rules"`
				} `yaml:"depguard"`
			} `yaml:"settings"`
		} `yaml:"linters"`
	}
	require.NoError(t, yaml.Unmarshal(text, &config))
	out := map[string]rule{}
	for name, r := range config.Linters.Settings.Depguard.Rules {
		if r.Mode != "strict" {
			continue
		}
		require.NotEmpty(t, r.Files, name)
		require.Equal(t, "!$test", r.Files[len(r.Files)-1], "%s: a strict rule is for all files but tests", name)
		for _, glob := range r.Files[:len(r.Files)-1] {
			dir := strings.TrimSuffix(strings.TrimPrefix(glob, "**/"), "/*.go")
			require.Equal(t, "**/"+dir+"/*.go", glob, "%s: a strict rule names folders", name)
			require.NotContains(t, out, dir, "two rules for one folder")
			out[dir] = r
		}
	}
	return out
}

// imports are what a file imports, without the standard library.
func imports(t *testing.T, f file) []string {
	t.Helper()
	var out []string
	for _, spec := range f.syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if first, _, _ := strings.Cut(name, "/"); first == "windmp" || strings.Contains(first, ".") {
			out = append(out, name)
		}
	}
	return out
}

// allows is depguard's reading of an entry: a beginning, or all with a $.
func allows(entry, name string) bool {
	if whole, ok := strings.CutSuffix(entry, "$"); ok {
		return name == whole
	}
	return strings.HasPrefix(name, entry)
}

// Each folder has its rule, which lists what its files import and nothing else.
func TestEachRoomListsItsImports(t *testing.T) {
	byDir := rules(t)
	used := map[string]map[string]bool{} // by the rule's folders, its entries
	missing := map[string]bool{}
	for _, f := range files(t) {
		if path.Dir(f.dir) == "cmd" {
			continue // the command itself may import all that is not for tests
		}
		r, ok := byDir[f.dir]
		if !ok {
			missing[f.dir] = true
			continue
		}
		key := strings.Join(r.Files, " ")
		if used[key] == nil {
			used[key] = map[string]bool{"$gostd": true}
		}
		for _, name := range imports(t, f) {
			i := slices.IndexFunc(r.Allow, func(e string) bool { return allows(e, name) })
			if i < 0 {
				t.Errorf("%s imports %s, which its rule in .golangci.yml does not list", f.path, name)
				continue
			}
			used[key][r.Allow[i]] = true
		}
	}
	for dir := range missing {
		t.Errorf("%s has no strict depguard rule in .golangci.yml", dir)
	}
	for dir, r := range byDir {
		uses, ok := used[strings.Join(r.Files, " ")]
		if !ok {
			t.Errorf(".golangci.yml has a rule for %s, where no code is", dir)
		}
		for _, entry := range r.Allow {
			if ok && !uses[entry] {
				t.Errorf("the rule for %s allows %s, which nobody there imports", dir, entry)
			}
		}
	}
}

// What the rules allow points one way, and what is for tests is for tests.
func TestImportsPointOneWay(t *testing.T) {
	byDir, flow := rules(t), rooms(t)
	place := func(dir string) int { return slices.Index(flow, dir) }
	for dir, r := range byDir {
		if place(dir) < 0 {
			continue // for tests, or an example
		}
		for _, entry := range r.Allow {
			other, ours := strings.CutPrefix(entry, "windmp/")
			if !ours {
				continue
			}
			room, exact := strings.CutSuffix(other, "$")
			switch {
			case !exact:
				t.Errorf("%s: %s would allow all folders below it, too", dir, entry)
			case place(room) < 0:
				t.Errorf("%s imports %s, which is in no row of docs/design.md's rooms", dir, room)
			case place(room) >= place(dir):
				t.Errorf("%s imports %s, which comes after it in docs/design.md's rooms", dir, room)
			}
		}
	}
	for _, dir := range flow {
		if path.Dir(dir) != "cmd" {
			assert.Contains(t, byDir, dir)
		}
	}
}

// What an outsider is to copy, an outsider can build; the programs in examples have a
// rule of their own.
func TestExamplesImportNothingInternal(t *testing.T) {
	tree := os.DirFS(root)
	require.NoError(t, fs.WalkDir(tree, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Base(name) != "example_test.go" {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(positions, name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, other := range imports(t, file{syntax: syntax}) {
			assert.NotContains(t, other, "/internal/", "%s is for others to copy", name)
			assert.NotContains(t, other, "test", "%s is for others to copy", name)
		}
		return nil
	}))
}
