//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/exitcode"
	"windmp/internal/testtime"
)

// stressCore is a core of a few blocks, the memory of a guest under QEMU.
const stressCore = "../../testdata/guest-bsod.vmcore"

// command is windmp as a process. It is killed when it takes three minutes.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), testtime.Limit(3*time.Minute))
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Args[0] = "windmp" // testscript.Main runs main for that name
	cmd.Env = processEnv()
	return cmd
}

// ran is the outcome of a process.
type ran struct {
	code   int
	stderr string
}

// finish runs a command to its end.
func finish(t *testing.T, cmd *exec.Cmd) ran {
	t.Helper()
	var complaints bytes.Buffer
	if cmd.Stderr == nil {
		cmd.Stderr = &complaints
	}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return ran{cmd.ProcessState.ExitCode(), complaints.String()}
}

// finishHere runs a command in the process of the tests, which takes a fraction of the
// time: for runs to which nothing happens, and whose environment is that of the tests.
func finishHere(args ...string) ran {
	var complaints bytes.Buffer
	return ran{run(args, io.Discard, &complaints), complaints.String()}
}

// namesIn lists the names in a folder.
func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	list := make([]string, 0, len(entries))
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// packedCore is the core as a gzip.
func packedCore(t *testing.T) string {
	t.Helper()
	b, err := packedBytes()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "guest.vmcore.gz")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

var packedBytes = sync.OnceValues(func() ([]byte, error) {
	core, err := os.ReadFile(stressCore)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	_, err = z.Write(core)
	err = errors.Join(err, z.Close())
	return b.Bytes(), err
})

// TestReaderGoesAway: a pipe whose reader closes at once, or after some bytes, is
// exit code 1 and a message; what was unpacked is gone.
func TestReaderGoesAway(t *testing.T) {
	t.Parallel()
	packed := packedCore(t)
	for _, after := range []int64{0, 1, 0x2000, 1 << 20} {
		temp := t.TempDir()
		cmd := command(t, "convert", packed, "-")
		cmd.Env = append(cmd.Env, "TMPDIR="+temp)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		cmd.Stdout = w
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		require.NoError(t, cmd.Start())
		require.NoError(t, w.Close())
		_, err = io.CopyN(io.Discard, r, after)
		require.NoError(t, errors.Join(err, r.Close()))
		_ = cmd.Wait() // the exit code says more
		assert.Equal(t, exitcode.Failed, cmd.ProcessState.ExitCode(), "%v", cmd.ProcessState)
		assert.Regexp(t, `^windmp: whoever read standard output stopped before its end\n$`, complaints.String())
		assert.Empty(t, namesIn(t, temp))
	}
}

// TestComplaintsGoNowhere: a reader of standard error that is gone does not end a
// conversion, and one of standard output does not undo it.
func TestComplaintsGoNowhere(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	defer w.Close()
	dir := t.TempDir()
	cmd := command(t, "convert", "no such file", filepath.Join(dir, "x.dmp"))
	cmd.Stderr = w
	assert.Equal(t, exitcode.Failed, finish(t, cmd).code)
	cmd = command(t, "convert", stressCore, filepath.Join(dir, "out.dmp"))
	cmd.Stdout = w
	got := finish(t, cmd)
	assert.Equal(t, exitcode.Failed, got.code)
	assert.Contains(t, got.stderr, "stopped before its end")
	assert.Equal(t, []string{"out.dmp"}, namesIn(t, dir))
}

// TestSlowReader: the stream of a reader that takes its time is the file.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	want := filepath.Join(t.TempDir(), "want.dmp")
	require.Zero(t, finishHere("convert", stressCore, want).code)
	out, w, err := os.Pipe()
	require.NoError(t, err)
	defer out.Close()
	code := make(chan int, 1)
	go func() {
		code <- run([]string{"convert", stressCore, "-"}, w, io.Discard)
		_ = w.Close()
	}()
	var got bytes.Buffer
	for {
		n, err := io.CopyN(&got, out, 300_001)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.NotZero(t, n)
		time.Sleep(10 * time.Millisecond)
	}
	require.Zero(t, <-code)
	b, err := os.ReadFile(want)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(b, got.Bytes()))
}

// stressSeed is fixed, and printed, so that a failure can be repeated.
func stressSeed(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	if s := os.Getenv("WINDMP_STRESS_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 0, 64)
		require.NoError(t, err)
	}
	t.Logf("WINDMP_STRESS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// strike starts a conversion and sends it a signal at a random moment: some time
// after its start, or after its temporary file appeared.
func strike(t *testing.T, random *rand.Rand, whole time.Duration, sig syscall.Signal, dir string, cmd *exec.Cmd) *os.ProcessState {
	t.Helper()
	wait, early := time.Duration(random.Int64N(int64(whole))), random.IntN(2) == 0
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the state says more
	}()
	if !early {
		wait /= 16
		before := len(namesIn(t, dir))
		for end := time.Now().Add(whole); len(namesIn(t, dir)) == before && time.Now().Before(end); {
			time.Sleep(100 * time.Microsecond)
		}
	}
	time.Sleep(wait)
	_ = cmd.Process.Signal(sig) // it may be over
	<-ended
	return cmd.ProcessState
}

// partName is what a killed run may leave beside out.dmp.
var partName = regexp.MustCompile(`^\.out\.dmp(\.gz)?\.[0-9]+\.windmp-part$`)

// TestSignalsAtAnyMoment: whenever the signal comes, the output is whole or not
// there. SIGINT, SIGTERM and SIGHUP leave nothing else; what SIGKILL leaves is recognised,
// and goes with the next run.
func TestSignalsAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	random := stressSeed(t)
	packed := packedCore(t)
	for _, base := range []string{"out.dmp", "out.dmp.gz"} {
		dir, temp := t.TempDir(), t.TempDir()
		out := filepath.Join(dir, base)
		run := func(in string) *exec.Cmd {
			cmd := command(t, "convert", "-q", in, out)
			cmd.Env = append(cmd.Env, "TMPDIR="+temp)
			return cmd
		}
		inputs := []string{packed, stressCore}
		var whole [2]time.Duration
		var want []byte
		for i, in := range inputs {
			start := time.Now()
			require.Zero(t, finish(t, run(in)).code)
			whole[i] = time.Since(start)
			var err error
			want, err = os.ReadFile(out)
			require.NoError(t, err)
			require.NoError(t, os.Remove(out))
		}
		outcomes, left := map[string]int{}, 0
		const rounds = 64
		for i := range rounds {
			sig := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL}[i%4]
			state := strike(t, random, whole[i/4%2], sig, dir, run(inputs[i/4%2]))
			outcomes[state.String()]++
			list := namesIn(t, dir)
			got, err := os.ReadFile(out)
			if err == nil {
				require.True(t, bytes.Equal(want, got), "round %d: the output is whole", i)
				require.NoError(t, os.Remove(out))
				list = namesIn(t, dir)
			} else {
				require.ErrorIs(t, err, os.ErrNotExist)
				assert.NotEqual(t, 0, state.ExitCode())
			}
			if sig != syscall.SIGKILL {
				assert.LessOrEqual(t, len(list), left, "round %d, %v: no more than there was", i, sig)
				assert.Contains(t, []int{exitcode.Done, exitcode.Interrupted, -1}, state.ExitCode(), "round %d", i)
			}
			left = len(list)
			assert.Len(t, partNamesIn(list), left, "round %d: %v", i, list)
		}
		t.Log(base, outcomes, "left by kills:", left)
		require.Zero(t, finish(t, run(packed)).code)
		assert.Equal(t, []string{base}, namesIn(t, dir))
		assert.Empty(t, namesIn(t, temp))
	}
}

// partNamesIn picks the names of unfinished files.
func partNamesIn(list []string) (parts []string) {
	for _, name := range list {
		if partName.MatchString(name) {
			parts = append(parts, name)
		}
	}
	return parts
}

// TestManyProcesses runs some to one name: one gets it, the others end with exit
// code 2 and leave nothing. With --force all succeed.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	want := filepath.Join(t.TempDir(), "want.dmp")
	require.Zero(t, finishHere("convert", stressCore, want).code)
	whole, err := os.ReadFile(want)
	require.NoError(t, err)
	many := 16
	if testing.Short() {
		many = 4
	}
	for _, args := range [][]string{{}, {"--force"}} {
		out := filepath.Join(t.TempDir(), "same.dmp")
		codes := make([]int, many)
		var all sync.WaitGroup
		for i := range codes {
			all.Go(func() {
				end, err := inSession(sessionRun{Dir: ".", Args: append([]string{"convert", "-q", stressCore, out}, args...)})
				assert.NoError(t, err)
				codes[i] = end.Code
			})
		}
		all.Wait()
		counts := map[int]int{}
		for _, c := range codes {
			counts[c]++
		}
		if len(args) > 0 {
			assert.Equal(t, map[int]int{exitcode.Done: many}, counts)
		} else {
			assert.Equal(t, map[int]int{exitcode.Done: 1, exitcode.Usage: many - 1}, counts)
		}
		assert.Equal(t, []string{"same.dmp"}, namesIn(t, filepath.Dir(out)))
		got, err := os.ReadFile(out)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(whole, got))
	}
}
