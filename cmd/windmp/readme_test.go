package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var updateReadme = flag.Bool("update-readme", false, "write the outputs in README.md and in the guides anew")

// readmeRun is a command of a document with the next block, which is its
// output.
var readmeRun = regexp.MustCompile("(?s)```console\n(?:go run ./cmd/)?(windmp [^\n]*)\n```\n(.*?)\n```text\n(.*?)```")

var (
	holesSaid = regexp.MustCompile(`with holes, [0-9.]+ [KMGT]?i?B on disk, `)
	speedSaid = regexp.MustCompile(`in [0-9.]+ s, [0-9.]+ [KMGT]?i?B/s`)
)

// steady is what a command printed, without what differs from run to run and from disk
// to disk: as it is on a fast machine, on a file system without holes.
func steady(printed string) string {
	return speedSaid.ReplaceAllString(holesSaid.ReplaceAllString(printed, ""), "in less than a second")
}

// TestReadmeShowsWhatIsPrinted runs each command of the README and of
// docs/commands.md on the sample that it names. Together they show all commands.
func TestReadmeShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	shown := map[string]bool{}
	for _, path := range []string{"README.md", "docs/commands.md"} {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "testdata"), 0o755))
		next := readmeRun.ReplaceAllFunc([]byte(readDoc(t, path)), func(block []byte) []byte {
			m := readmeRun.FindSubmatch(block)
			args := strings.Fields(string(m[1]))
			shown[args[1]] = true
			copySamples(t, dir, args)
			end, err := inSession(sessionRun{Dir: dir, Args: args[1:], Streams: joined})
			require.NoError(t, err)
			printed := steady(string(end.Stdout))
			assert.Equal(t, string(m[3]), printed, "%s: %s", path, m[1])
			return bytes.Replace(block, append([]byte("```text\n"), m[3]...), []byte("```text\n"+printed), 1)
		})
		if *updateReadme {
			require.NoError(t, os.WriteFile(filepath.Join(repository, path), next, 0o644))
		}
	}
	for _, command := range []string{"convert", "check", "info", "symbols", "vtop"} {
		assert.True(t, shown[command], "README.md or docs/commands.md shows windmp %s", command)
	}
}

// copySamples copies the samples among args to dir. Not every system has links: Wine makes
// them, and does not follow them.
func copySamples(t *testing.T, dir string, args []string) {
	t.Helper()
	for _, name := range args {
		if !strings.HasPrefix(name, "testdata/") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(repository, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o644))
	}
}
