package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var updateReadme = flag.Bool("update-readme", false, "write the outputs in README.md anew")

// readmeRun is a command of the README with the next block, which is its
// output.
var readmeRun = regexp.MustCompile("(?s)```console\n(?:go run ./cmd/)?(windmp [^\n]*)\n```\n(.*?)\n```text\n(.*?)```")

// TestReadmeShowsWhatIsPrinted runs each command of the README on the sample
// that it names.
func TestReadmeShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	const path = "../../README.md"
	readme, err := os.ReadFile(path)
	require.NoError(t, err)
	exe, err := os.Executable()
	require.NoError(t, err)
	samples, err := filepath.Abs("../../testdata")
	require.NoError(t, err)
	dir := t.TempDir()
	link := filepath.Join(dir, "testdata")
	linkErr := os.Symlink(samples, link)
	if _, err := os.Stat(link); err != nil { // Windows may refuse, and old Wine only says that it did it
		t.Skipf("no symbolic links here: %v", linkErr)
	}
	shown := map[string]bool{}
	next := readmeRun.ReplaceAllFunc(readme, func(block []byte) []byte {
		m := readmeRun.FindSubmatch(block)
		args := strings.Fields(string(m[1]))
		shown[args[1]] = true
		var out bytes.Buffer
		// testscript.Main runs main for a process named windmp.
		cmd := exec.Cmd{Path: exe, Args: args, Dir: dir, Stdout: &out, Stderr: &out, Env: os.Environ()}
		_ = cmd.Run() // a verdict is an exit code
		assert.Equal(t, string(m[3]), out.String(), "%s", m[1])
		return bytes.Replace(block, append([]byte("```text\n"), m[3]...), append([]byte("```text\n"), out.Bytes()...), 1)
	})
	for _, command := range []string{"convert", "check", "info", "symbols", "vtop"} {
		assert.True(t, shown[command], "README.md shows windmp %s", command)
	}
	if *updateReadme {
		require.NoError(t, os.WriteFile(path, next, 0o644))
	}
}
