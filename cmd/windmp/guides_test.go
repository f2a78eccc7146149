package main

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/exitcode"
	"windmp/internal/qemutest"
)

// What the fences of a guide mean. GitHub shows the first word's language and
// drops the rest.
const (
	// fenceRun is run here, on the samples in the repository; a fenceOutput
	// behind it is what it prints.
	fenceRun = "console"
	// fenceQEMU is run here against the test guest under real QEMU, whose QMP
	// socket is qmp.sock.
	fenceQEMU   = "console qemu"
	fenceOutput = "text"
	// fenceShell is for a host that no test has: it is not run.
	fenceShell = "sh"
)

// otherFences are shown and not run.
var otherFences = []string{"xml", "go", "yaml", "windbg", "bat", "powershell", "ini", "html"}

// TestGuidesAreKnown: a fence that the other tests do not know would never be
// run, and a guide says what of it was tried.
func TestGuidesAreKnown(t *testing.T) {
	t.Parallel()
	index := readDoc(t, "docs/guides/README.md")
	for _, guide := range guides(t) {
		doc := readDoc(t, guide)
		for i, f := range fences(doc) {
			assert.Contains(t, append([]string{fenceRun, fenceQEMU, fenceOutput, fenceShell}, otherFences...), f.info, "%s, fence %d", guide, i)
		}
		assert.Contains(t, doc, "\n## What was tried\n", guide)
		assert.Contains(t, index, "("+path.Base(guide)+")", "docs/guides/README.md lists it")
	}
}

// TestGuidesShowWhatIsPrinted runs what a guide runs on the samples.
func TestGuidesShowWhatIsPrinted(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "jq")
	for _, guide := range guides(t) {
		t.Run(path.Base(guide), func(t *testing.T) {
			t.Parallel()
			if has(readDoc(t, guide), fenceRun) {
				runGuide(t, guide, fenceRun, guideSession(t))
			}
		})
	}
}

// TestGuidesWithQEMU runs what a guide does to a machine.
func TestGuidesWithQEMU(t *testing.T) {
	t.Parallel()
	qemutest.Require(t)
	needs(t, "bash", "jq", "socat")
	for _, guide := range guides(t) {
		if !has(readDoc(t, guide), fenceQEMU) {
			continue
		}
		t.Run(path.Base(guide), func(t *testing.T) {
			t.Parallel()
			dir := guideSession(t)
			qemutest.Start(t, qemutest.Config{CPUs: 2, Variant: []string{"bsod"}, Extra: []string{
				"-qmp", "unix:" + dir + "/qmp.sock,server=on,wait=off",
				"-monitor", "unix:" + dir + "/monitor.sock,server=on,wait=off",
			}})
			runGuide(t, guide, fenceQEMU, dir)
		})
	}
}

func guides(t *testing.T) (all []string) {
	t.Helper()
	for _, p := range markdownFiles(t) {
		if path.Dir(p) == "docs/guides" && path.Base(p) != "README.md" {
			all = append(all, p)
		}
	}
	require.NotEmpty(t, all)
	return all
}

func has(doc, info string) bool {
	return slices.ContainsFunc(fences(doc), func(f fence) bool { return f.info == info })
}

// needs skips the test where a program is missing, but not where the scripts
// have installed all of them.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the guides are for a Unix shell")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv("WINDMP_REQUIRE_QEMU") == "1" {
			t.Fatalf("%s is missing (scripts/deps installs it)", program)
		}
		t.Skipf("%s is missing", program)
	}
}

// guideSession is a folder as a reader has it in the checkout: the samples, the
// examples, and windmp. Its path is short enough for a socket's.
func guideSession(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "guide")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	exe, err := os.Executable()
	require.NoError(t, err)
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".bin"), 0o700))
	// testscript.Main runs main for a process named windmp.
	require.NoError(t, os.Symlink(exe, filepath.Join(dir, ".bin", "windmp")))
	for _, name := range []string{"testdata", "examples"} {
		require.NoError(t, os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)))
	}
	return dir
}

// runGuide runs the fences of one kind in order, in one folder. What they print
// is compared with the output that the guide shows; where it shows none, they
// must succeed.
func runGuide(t *testing.T, guide, kind, dir string) {
	t.Helper()
	doc := readDoc(t, guide)
	all := fences(doc)
	next := doc
	shift := 0
	for i, f := range all {
		if f.info != kind {
			continue
		}
		printed, err := commands(dir, f.body)
		printed = steady(printed)
		if i+1 == len(all) || all[i+1].info != fenceOutput {
			require.NoError(t, err, "%s\n%s%s", guide, f.body, printed)
			continue
		}
		assert.Equal(t, all[i+1].body, printed, "%s\n%s", guide, f.body)
		start, end := all[i+1].start+shift, all[i+1].end+shift
		next = next[:start] + printed + next[end:]
		shift += len(printed) - (end - start)
	}
	if *updateReadme {
		require.NoError(t, os.WriteFile(filepath.Join(repository, guide), []byte(next), 0o644))
	}
}

// onlyWindmp is a fence whose commands ask nothing of a shell.
var onlyWindmp = regexp.MustCompile(`^(?:windmp [\w./:=, -]+\n)+$`)

// commands runs a fence's commands; an error says that one failed.
func commands(dir, fence string) (printed string, err error) {
	if !onlyWindmp.MatchString(fence) {
		return shell(dir, fence)
	}
	for line := range strings.Lines(fence) {
		end, err := inSession(sessionRun{Dir: dir, Args: strings.Fields(line)[1:], Streams: joined})
		printed += string(end.Stdout)
		if end.Code != exitcode.Done {
			err = fmt.Errorf("exit code %d: %s", end.Code, line)
		}
		if err != nil {
			return printed, err
		}
	}
	return printed, nil
}

// shell runs commands in a shell; an error says that one failed.
func shell(dir, commands string) (string, error) {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = dir
	cmd.Env = processEnv("PATH=" + filepath.Join(dir, ".bin") + string(os.PathListSeparator) + os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	return strings.ReplaceAll(string(out), dir, "/home/you"), err
}
