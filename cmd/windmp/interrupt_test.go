package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/exitcode"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
)

// TestInterruptLeavesNothing interrupts a stream into a pipe that nobody reads.
func TestInterruptLeavesNothing(t *testing.T) {
	t.Parallel()
	core := filepath.Join(t.TempDir(), "guest.vmcore")
	require.NoError(t, os.WriteFile(core, guestsim.New(guestsim.Options{}).ELF(), 0o400))
	cmd := startBlocked(t, core)
	if err := interrupt(cmd.Process); err != nil {
		t.Skipf("NOT RUN: this process can't interrupt another one: %v", err)
	}
	_ = cmd.Wait() // the exit code says more
	assert.Equal(t, exitcode.Interrupted, cmd.ProcessState.ExitCode())
	entries, err := os.ReadDir(filepath.Dir(core))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

// TestInterruptIsReported interrupts a conversion with a report.
func TestInterruptIsReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	core, written := filepath.Join(dir, "guest.vmcore"), filepath.Join(dir, "report.json")
	require.NoError(t, os.WriteFile(core, guestsim.New(guestsim.Options{}).ELF(), 0o400))
	cmd := startBlockedWith(t, core, []string{"--report", written, "--log-format=json", "--progress=json"})
	if err := interrupt(cmd.Process); err != nil {
		t.Skipf("NOT RUN: this process can't interrupt another one: %v", err)
	}
	_ = cmd.Wait() // the exit code says more
	assert.Equal(t, exitcode.Interrupted, cmd.ProcessState.ExitCode())
	text, err := os.ReadFile(written)
	require.NoError(t, err)
	require.NoError(t, validate(schemaDir, text))
	var d struct {
		ExitCode int          `json:"exit_code"`
		Error    report.Error `json:"error"`
	}
	require.NoError(t, json.Unmarshal(text, &d))
	assert.Equal(t, exitcode.Interrupted, d.ExitCode)
	assert.Equal(t, string(stage.Write), d.Error.Stage)
	said := fmt.Sprint(cmd.Stderr)
	assert.Contains(t, said, `"message":"interrupted, nothing was left behind","stage":"write","exit_code":130}`)
	assert.Contains(t, said, `"event":"failed","stage":"write"`)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "input and report")
}

// TestKillLeavesNoMemory ends the process the hard way: what it unpacked, the
// guest's memory, must go with it.
func TestKillLeavesNoMemory(t *testing.T) {
	t.Parallel()
	core := filepath.Join(t.TempDir(), "guest.vmcore.gz")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(guestsim.New(guestsim.Options{}).ELF())
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(core, packed.Bytes(), 0o400))

	temp := t.TempDir()
	cmd := startBlocked(t, core, "TMPDIR="+temp, "TMP="+temp, "TEMP="+temp)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	assert.Eventually(t, func() bool {
		entries, err := os.ReadDir(temp)
		return err == nil && len(entries) == 0
	}, 10*time.Second, 10*time.Millisecond)
}

// startBlocked starts a conversion that streams into a pipe which nobody reads,
// and returns when it has begun to write. The dump is larger than any pipe.
func startBlocked(t *testing.T, core string, env ...string) *exec.Cmd {
	t.Helper()
	return startBlockedWith(t, core, nil, env...)
}

// startBlockedWith is startBlocked with further arguments.
func startBlockedWith(t *testing.T, core string, args []string, env ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	var complaints strings.Builder
	// testscript.Main runs main for a process named windmp.
	cmd := &exec.Cmd{
		Path: exe, Args: append([]string{"windmp", "convert", core, "-"}, args...), Env: processEnv(env...),
		Stdout: w, Stderr: &complaints, SysProcAttr: ownGroup(),
	}
	require.NoError(t, cmd.Start())
	require.NoError(t, w.Close())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_, err = r.Read(make([]byte, 1))
	require.NoError(t, err, "windmp ended early: %s", &complaints)
	return cmd
}
