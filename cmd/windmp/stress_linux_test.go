package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"windmp/convert/exitcode"
)

// smallDisk mounts a tmpfs of some KiB.
func smallDisk(t *testing.T, kib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", kib)); err != nil {
		t.Skipf("NOT RUN: a full disk needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// TestFullDisk converts onto disks from too small to large enough: each failure is
// exit code 1, says why, and leaves nothing.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	packed, larger := packedCore(t), 2
	if testing.Short() {
		larger = 16 // the sizes between take another second
	}
	for _, c := range []struct {
		in, base string
		args     []string
		says     string
		temp     bool // the disk holds what is unpacked
		procs    int
	}{
		{in: stressCore, base: "out.dmp", args: []string{"--sparse=always"}, says: "no space left on the disk of"},
		{in: stressCore, base: "out.dmp", says: "and the disk of [^\\n]* free"},
		{in: stressCore, base: "kernel.dmp", args: []string{"--sparse=always", "--type=kernel"}, says: "no space left on the disk of"},
		{in: stressCore, base: "out.dmp.gz", says: "no space left on the disk of"},
		{in: stressCore, base: "out.dmp.zst", says: "no space left on the disk of"},
		{in: stressCore, base: "out.dmp.zip", says: "no space left on the disk of"},
		{in: packed, base: "out.dmp", says: "no room to unpack it: the folder for temporary files", temp: true},
		// Through mappings, which eight processors make.
		{in: stressCore, base: "mapped.dmp", args: []string{"--sparse=always"}, says: "no space left on the disk of", procs: 8},
		{in: stressCore, base: "full.dmp", args: []string{"--sparse=never"}, says: "and the disk of [^\\n]* free", procs: 8},
	} {
		t.Run(strings.Join(append([]string{c.base, c.says[:6]}, c.args...), " "), func(t *testing.T) {
			t.Parallel()
			failures := 0
			for kib := 4; ; kib *= larger {
				require.Less(t, kib, 64<<10)
				disk, other := smallDisk(t, kib), t.TempDir()
				temp, dir := other, disk
				if c.temp {
					temp, dir = disk, other
				}
				got, err := inSession(sessionRun{
					Dir: ".", Procs: c.procs, Vars: map[string]string{"TMPDIR": temp},
					Args: append([]string{"convert", "-q", c.in, filepath.Join(dir, c.base)}, c.args...),
				})
				require.NoError(t, err)
				assert.Empty(t, namesIn(t, temp))
				if got.Code == exitcode.Done {
					assert.Equal(t, []string{c.base}, namesIn(t, dir))
					break
				}
				failures++
				assert.Equal(t, exitcode.Failed, got.Code)
				assert.Regexp(t, `^windmp: [^\n]*`+c.says+`[^\n]*\nhint: [^\n]*\n$`, string(got.Stderr))
				assert.Empty(t, namesIn(t, dir))
			}
			assert.Positive(t, failures)
		})
	}
}

// TestFileSizeLimit: the limit of a shell's ulimit -f, which needs no rights.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"out.dmp", "out.dmp.gz"} {
		dir := t.TempDir()
		got := limited(t, "ulimit -f 16", command(t, "convert", "-q", "--no-sync", stressCore, filepath.Join(dir, base)))
		assert.Equal(t, exitcode.Failed, got.code)
		assert.Regexp(t, `^windmp: [^\n]* can't be written: file too large\nhint: `, got.stderr)
		assert.Empty(t, namesIn(t, dir))
	}
}

// limited runs a command after a line of shell.
func limited(t *testing.T, line string, cmd *exec.Cmd) ran {
	t.Helper()
	// testscript.Main goes by the name of the file.
	name := cmd.Path
	if filepath.Base(name) != "windmp" {
		name = filepath.Join(t.TempDir(), "windmp")
		require.NoError(t, os.Symlink(cmd.Path, name))
	}
	sh := exec.Command("sh", append([]string{"-c", line + ` && exec "$0" "$@"`, name}, cmd.Args[1:]...)...)
	sh.Env = cmd.Env
	return finish(t, sh)
}

// TestForeignFolder: no right to write there.
func TestForeignFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o500))
	if os.Getuid() == 0 {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
			t.Skipf("NOT RUN: as root only a read-only mount refuses to write: %v", err)
		}
		t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	}
	got := finishHere("convert", stressCore, filepath.Join(dir, "out.dmp"))
	assert.Equal(t, exitcode.Failed, got.code)
	assert.Regexp(t, `^windmp: [^\n]* can't be written: [^\n]*\nhint: Name an output in a folder that is yours.\n$`, got.stderr)
	assert.Empty(t, namesIn(t, dir))
}

// TestLittleMemory runs the program, as it is released, with 256 MiB for everything
// that it can write to. RLIMIT_AS can't be as low on 64-bit systems: Go's runtime
// reserves some 700 MiB of addresses, which take no memory, before main begins. The
// same program built for 32 bits has no more than 256 MiB of addresses.
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: builds windmp twice, 10 s")
	}
	t.Run("native", func(t *testing.T) {
		t.Parallel()
		runLimited(t, runtime.GOARCH, "ulimit -d 262144 && ulimit -v 2097152")
	})
	t.Run("386", func(t *testing.T) {
		t.Parallel()
		if runtime.GOARCH != "amd64" {
			t.Skipf("NOT RUN: %s does not run 386", runtime.GOARCH)
		}
		runLimited(t, "386", "ulimit -v 262144")
	})
}

// runLimited builds the program and converts, checks and describes within limits.
func runLimited(t *testing.T, arch, limits string) {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "windmp")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", exe, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("NOT RUN: go build: %v: %s", err, out)
	}
	dir := t.TempDir()
	samples, err := samplesDir()
	require.NoError(t, err)
	huge := filepath.Join(dir, "huge.vmcore")
	b, err := os.ReadFile(stressCore)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(huge, b, 0o600))
	require.NoError(t, os.Truncate(huge, 64<<30))
	packed := map[int]string{0: ".zst", 1: ".gz", 2: ".zip"} // by the line below
	for i, args := range [][]string{
		{"convert", stressCore},
		{"convert", stressCore},
		{"convert", stressCore},
		{"convert", stressCore},
		{"convert", "--type=bitmap", stressCore},
		{"convert", "--type=kernel", stressCore},
		{"convert", "--jobs=16", stressCore},
		{"convert", "--to=elf", stressCore},
		{"convert", packedCore(t)},
		{"convert", samples + "/live-2cpu.kdump.gz"},
		{"check", "--level=full", stressCore},
		{"check", huge},
		{"info", huge},
		{"info", samples + "/live-2cpu.kdump.gz"},
		{"convert", huge},
	} {
		if args[0] == "convert" {
			args = append(args, filepath.Join(dir, fmt.Sprint("out", i)+packed[i]))
		}
		cmd := exec.Command(exe, args...)
		got := limited(t, limits, cmd)
		assert.Equal(t, exitcode.Done, got.code, "%v: %s", args, got.stderr)
	}
}
