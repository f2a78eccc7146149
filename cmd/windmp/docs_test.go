package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const repository = "../.."

// markdownFiles are the documents of the repository, by their path in it.
func markdownFiles(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !d.IsDir() && filepath.Ext(path) == ".md" {
			rel, err := filepath.Rel(repository, path)
			paths = append(paths, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	require.NoError(t, err)
	require.Contains(t, paths, "README.md")
	return paths
}

func readDoc(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, path))
	require.NoError(t, err)
	return string(data)
}

var (
	fencedBlock  = regexp.MustCompile("(?s)(?:^|\n)```.*?\n```\n")
	inlineCode   = regexp.MustCompile("`[^`\n]+`")
	markdownLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	headingLine  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
)

// anchors are what GitHub makes of a document's headings.
func anchors(doc string) (all []string) {
	for _, m := range headingLine.FindAllStringSubmatch(fencedBlock.ReplaceAllString(doc, "\n"), -1) {
		text := markdownLink.ReplaceAllString(m[1], "")
		all = append(all, strings.Map(anchorRune, strings.ToLower(text)))
	}
	return all
}

// anchorRune is what GitHub makes of a character of a heading.
func anchorRune(r rune) rune {
	switch {
	case r == ' ':
		return '-'
	case unicode.IsLetter(r), unicode.IsNumber(r), r == '_', r == '-':
		return r
	default:
		return -1
	}
}

// TestDocsLinkToWhatIsThere follows every link within the repository, to the
// heading.
func TestDocsLinkToWhatIsThere(t *testing.T) {
	t.Parallel()
	headings := map[string][]string{} // by document
	for _, path := range markdownFiles(t) {
		doc := inlineCode.ReplaceAllString(fencedBlock.ReplaceAllString(readDoc(t, path), "\n"), "")
		for _, m := range markdownLink.FindAllStringSubmatch(doc, -1) {
			link := m[1]
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", path, link)
				continue
			}
			if anchor == "" {
				continue
			}
			if headings[target] == nil {
				headings[target] = anchors(readDoc(t, target))
			}
			if !slices.Contains(headings[target], anchor) {
				t.Errorf("%s links to %s, but there is no such heading", path, link)
			}
		}
	}
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"1-save-the-memory", "windmp-check-file", "its-not-tried"},
		anchors("# 1. Save the memory\n```sh\n# no heading\n```\n## windmp check FILE...\n```text\n```\n### It's [not](x.md) tried\n"))
}

var (
	windmpCommand = regexp.MustCompile("(?m)(?:^|`)windmp ([a-z]+)([^`\n]*)")
	longFlag      = regexp.MustCompile(`(?:^| )--([a-z0-9-]+)`)
)

// TestDocsUseFlagsThatAreThere looks at every windmp command in the documents,
// those included that are not run.
func TestDocsUseFlagsThatAreThere(t *testing.T) {
	t.Parallel()
	seen, root := 0, (&app{}).rootCommand()
	for _, path := range markdownFiles(t) {
		doc := readDoc(t, path)
		for _, m := range windmpCommand.FindAllStringSubmatch(doc, -1) {
			cmd, _, err := root.Find([]string{m[1]})
			if err != nil {
				assert.NotContains(t, doc, "`windmp "+m[1], path)
				continue // a sentence that begins with windmp
			}
			own, _, _ := strings.Cut(m[2], " | ") // what follows is another program's
			for _, flag := range longFlag.FindAllStringSubmatch(own, -1) {
				seen++
				if flag[1] != "help" {
					assert.NotNil(t, cmd.Flags().Lookup(flag[1]), "%s: %s", path, m[0])
				}
			}
		}
	}
	assert.Greater(t, seen, 5)
}

var tableFlag = regexp.MustCompile("`--([a-z0-9-]+)")

// TestTheFlagsAreListed: the tables of options in docs/commands.md name flags that
// are there, and all of them.
func TestTheFlagsAreListed(t *testing.T) {
	t.Parallel()
	doc := readDoc(t, "docs/commands.md")
	for name, title := range map[string]string{"convert": "## windmp convert IN [OUT]\n", "check": "## windmp check FILE...\n"} {
		_, section, found := strings.Cut(doc, "\n"+title)
		require.True(t, found, title)
		_, table, found := strings.Cut(section, "| option | meaning |\n")
		require.True(t, found, title)
		table, _, _ = strings.Cut(table, "\n\n")
		listed := map[string]bool{}
		for row := range strings.Lines(table) {
			option, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
			for _, m := range tableFlag.FindAllStringSubmatch(option, -1) {
				listed[m[1]] = true
			}
		}
		cmd, _, err := (&app{}).rootCommand().Find([]string{name})
		require.NoError(t, err)
		there := map[string]bool{}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { there[f.Name] = true })
		delete(there, "help")
		assert.Equal(t, there, listed, "docs/commands.md, windmp %s", name)
	}
}

// fence is a fenced block of a document.
type fence struct {
	info, body string // info is what stands behind the opening fence
	start, end int    // of the body
}

var fenceOpen = regexp.MustCompile("(?m)^```([^`\n]*)\n")

// fences are the fenced blocks of a document, in order.
func fences(doc string) (all []fence) {
	for at := 0; ; {
		open := fenceOpen.FindStringSubmatchIndex(doc[at:])
		if open == nil {
			return all
		}
		info, start := doc[at+open[2]:at+open[3]], at+open[1]
		n := strings.Index(doc[start:], "```\n")
		if n < 0 {
			return all
		}
		all = append(all, fence{info, doc[start : start+n], start, start + n})
		at = start + n + len("```\n")
	}
}
