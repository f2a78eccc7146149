package main

import (
	"bufio"
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"windmp/convert/exitcode"
	"windmp/internal/pack"
	"windmp/internal/testtime"
)

// requireFUSE skips a test, or fails it if WINDMP_REQUIRE_FUSE=1, where no file system
// can be mounted.
func requireFUSE(t *testing.T) {
	t.Helper()
	skipFor(t, noFUSE())
}

// skipFor skips a test, or fails it if WINDMP_REQUIRE_FUSE=1, for a reason if there is one.
func skipFor(t *testing.T, why string) {
	t.Helper()
	if why == "" {
		return
	}
	if os.Getenv("WINDMP_REQUIRE_FUSE") == "1" {
		t.Fatal("DID NOT RUN: " + why)
	}
	t.Skip("DID NOT RUN: " + why)
}

// noDevice says why nobody can mount anything.
func noDevice() string {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return err.Error()
	}
	return ""
}

// noFUSE says why no file system can be mounted, once and for all tests.
var noFUSE = sync.OnceValue(func() string {
	if why := noDevice(); why != "" {
		return why
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return "fusermount3 is missing (Debian: scripts/deps installs fuse3)"
	}
	if os.Geteuid() != 0 {
		return ""
	}
	// A container may have the device, and not the right.
	fd, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return "mounting: " + err.Error()
	}
	_ = unix.Close(fd)
	return ""
})

// mounted is a running windmp mount.
type mounted struct {
	*exec.Cmd
	dir    string
	stderr *bytes.Buffer
}

// mountOn mounts a file on a folder, by a process that prepare may change.
func mountOn(t *testing.T, dir string, prepare func(*exec.Cmd), args ...string) *mounted {
	t.Helper()
	m := &mounted{Cmd: command(t, append([]string{"mount", args[0], dir}, args[1:]...)...), dir: dir, stderr: new(bytes.Buffer)}
	m.Stderr = m.stderr
	out, err := m.StdoutPipe()
	require.NoError(t, err)
	if prepare != nil {
		prepare(m.Cmd)
	}
	require.NoError(t, m.Start())
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = m.Wait()
		require.NoError(t, err, "%s", m.stderr)
	}
	require.Contains(t, line, "mounted")
	go io.Copy(io.Discard, out) //nolint:errcheck // what else it prints
	return m
}

// code waits for the end of a mount.
func (m *mounted) code(t *testing.T) int {
	t.Helper()
	var exit *exec.ExitError
	if err := m.Wait(); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return m.ProcessState.ExitCode()
}

// unmount takes it away from its folder. A process that another test starts has what is
// open in this one until it runs its program, and the folder is busy for as long.
func (m *mounted) unmount(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(testtime.Limit(20 * time.Second)); ; time.Sleep(5 * time.Millisecond) {
		cmd := exec.Command("umount", m.dir)
		cmd.Env = append(cmd.Environ(), "LC_ALL=C")
		said, err := cmd.CombinedOutput()
		if err != nil && strings.Contains(string(said), "busy") && time.Now().Before(end) {
			continue
		}
		require.NoError(t, err, "%s", said)
		return
	}
}

// file is the path of one of its files.
func (m *mounted) file(name string) string { return filepath.Join(m.dir, name) }

// digestSeed is that of all digests.
var digestSeed = maphash.MakeSeed()

// digest tells a file from others in this run of the tests.
func digest(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var h maphash.Hash
	h.SetSeed(digestSeed)
	_, err = io.Copy(&h, f)
	require.NoError(t, err)
	return h.Sum64()
}

// kinds are the dumps of a mounted folder, with what makes convert write each.
var kinds = map[string][]string{
	"memory.dmp": nil, "kernel.dmp": {"--type=kernel"}, "triage.dmp": {"--type=triage"}, "memory.vmcore": {"--to=elf"},
}

// TestMount: the files of a mounted folder are those that convert writes, for many
// readers at once, read, mapped and by their holes; whoever unmounts ends the program
// well.
func TestMount(t *testing.T) {
	t.Parallel()
	requireFUSE(t)
	for _, sample := range []string{"guest-bsod.vmcore", "live-2cpu.kdump.gz", "x86-bsod-2cpu.vmcore.gz"} {
		t.Run(sample, func(t *testing.T) {
			t.Parallel()
			in := filepath.Join("..", "..", "testdata", sample)
			m := mountOn(t, t.TempDir(), nil, in)
			assert.Equal(t, []string{"kernel.dmp", "memory.dmp", "memory.vmcore", "report.json", "triage.dmp"}, namesIn(t, m.dir))
			outs := t.TempDir()
			for name, want := range converted(t, in, outs) {
				assert.Equal(t, want, digest(t, m.file(name)), name)
				st, err := os.Stat(m.file(name))
				require.NoError(t, err)
				assert.Equal(t, fs.FileMode(0o400), st.Mode())
				if sys, ok := st.Sys().(*syscall.Stat_t); assert.True(t, ok) {
					assert.EqualValues(t, 1, sys.Nlink, "Samba takes others for deleted")
				}
			}
			want, err := os.ReadFile(filepath.Join(outs, "memory.dmp"))
			require.NoError(t, err)
			readManyTimes(t, m.file("memory.dmp"), want)
			readMapped(t, m.file("memory.dmp"), want)
			said, err := os.ReadFile(m.file("report.json"))
			require.NoError(t, err)
			require.NoError(t, validate(schemaDir, said))
			_, err = os.OpenFile(m.file("memory.dmp"), os.O_RDWR, 0)
			require.ErrorIs(t, err, unix.EROFS)
			_, err = os.Stat(m.file("other.dmp"))
			require.ErrorIs(t, err, fs.ErrNotExist)
			m.unmount(t)
			assert.Zero(t, m.code(t), m.stderr)
			assert.Empty(t, m.stderr.String())
			assert.Empty(t, namesIn(t, m.dir))
		})
	}
}

// readManyTimes reads parts of a file in no order, by several readers.
func readManyTimes(t *testing.T, path string, want []byte) {
	t.Helper()
	var wg sync.WaitGroup
	for reader := range uint64(8) {
		wg.Go(func() {
			f, err := os.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			rng, room := rand.New(rand.NewPCG(reader, 1)), make([]byte, 1<<18)
			for range 50 {
				off := rng.Int64N(int64(len(want)))
				p := room[:1+rng.IntN(len(room))]
				n, err := f.ReadAt(p, off)
				if err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(p[:n], want[off:][:n]) || n < min(len(p), len(want)-int(off)) {
					t.Errorf("%d bytes at %#x: %d read, %v", len(p), off, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// readMapped reads a file as debuggers do, and goes through its holes.
func readMapped(t *testing.T, path string, want []byte) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, b))
	require.NoError(t, unix.Munmap(b))
	for at, end := int64(0), int64(len(want)); at < end; {
		data, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			data, err = end, nil
		}
		require.NoError(t, err)
		assert.Empty(t, bytes.Trim(want[at:data], "\x00"), "from %#x to %#x", at, data)
		if data == end {
			break
		}
		at, err = f.Seek(data, unix.SEEK_HOLE)
		require.NoError(t, err)
		require.Greater(t, at, data)
	}
}

const mountedCore = "../../testdata/guest-bsod.vmcore"

// TestMountEnds: a signal unmounts, and is no failure, also where a file is open.
func TestMountEnds(t *testing.T) {
	t.Parallel()
	requireFUSE(t)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		m := mountOn(t, t.TempDir(), nil, mountedCore)
		require.NoError(t, m.Process.Signal(sig))
		assert.Zero(t, m.code(t), m.stderr)
		assert.Empty(t, namesIn(t, m.dir))
	}
	m := mountOn(t, t.TempDir(), nil, mountedCore)
	f, err := os.Open(m.file("memory.dmp"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, m.Process.Signal(syscall.SIGTERM))
	assert.Zero(t, m.code(t), m.stderr)
	assert.Contains(t, m.stderr.String(), "in use")
	assert.Empty(t, namesIn(t, m.dir))
	_, err = f.ReadAt(make([]byte, 1<<20), 1<<20)
	require.Error(t, err)
}

// TestMountAfterAKill: what a killed run left is taken away by the next.
func TestMountAfterAKill(t *testing.T) {
	t.Parallel()
	requireFUSE(t)
	m := mountOn(t, t.TempDir(), nil, mountedCore)
	require.NoError(t, m.Process.Kill())
	_ = m.Wait()
	_, err := os.ReadDir(m.dir)
	require.ErrorIs(t, err, unix.ENOTCONN)
	again := mountOn(t, m.dir, nil, mountedCore)
	assert.NotEmpty(t, namesIn(t, m.dir))
	m.unmount(t)
	assert.Zero(t, again.code(t), again.stderr)
	assert.Contains(t, again.stderr.String(), "left mounted by a run that was killed")
}

// TestMountRefuses what nothing can be mounted on, before the file is looked at.
func TestMountRefuses(t *testing.T) {
	t.Parallel()
	requireFUSE(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for place, says := range map[string]string{
		dir: "is not empty", file: "is no folder", filepath.Join(dir, "none"): "there is no folder",
	} {
		got := finishHere("mount", "missing.vmcore", place)
		assert.Equal(t, exitcode.Usage, got.code, place)
		assert.Contains(t, got.stderr, says)
	}
	got := finishHere("mount", "missing.vmcore", t.TempDir())
	assert.Equal(t, exitcode.Failed, got.code)
	assert.Contains(t, got.stderr, "missing.vmcore")
}

// TestMountFailingSource: a source that can't be read any more is an error for the
// reader, and said by the program.
func TestMountFailingSource(t *testing.T) {
	t.Parallel()
	requireFUSE(t)
	core, err := os.ReadFile(mountedCore)
	require.NoError(t, err)
	in := filepath.Join(t.TempDir(), "cut.vmcore")
	require.NoError(t, os.WriteFile(in, core, 0o600))
	m := mountOn(t, t.TempDir(), nil, in)
	f, err := os.Open(m.file("memory.dmp"))
	require.NoError(t, err)
	require.NoError(t, os.Truncate(in, int64(len(core)/2)))
	page := make([]byte, 4096)
	_, err = f.ReadAt(page, 0x2000)
	require.NoError(t, err)
	st, err := f.Stat()
	require.NoError(t, err)
	_, err = f.ReadAt(page, st.Size()-int64(len(page)))
	require.ErrorIs(t, err, unix.EIO)
	require.NoError(t, f.Close())
	m.unmount(t)
	assert.Equal(t, exitcode.Failed, m.code(t), m.stderr)
	assert.Equal(t, 1, strings.Count(m.stderr.String(), "memory.dmp: "), "said once: %s", m.stderr)
	assert.Equal(t, 2, strings.Count(m.stderr.String(), "became shorter"), "and in the end: %s", m.stderr)
}

// TestMountPackedAndURL: zstd in frames, and what is behind a URL, packed or not, are
// mounted as the file is. A server that refuses is an error for the reader, and whoever
// opens a file later tries again.
func TestMountPackedAndURL(t *testing.T) {
	t.Parallel()
	requireFUSE(t)
	dir := t.TempDir()
	in := filepath.Join(dir, "core.vmcore")
	b, err := os.ReadFile(mountedCore)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(in, b, 0o600))
	framed := filepath.Join(dir, "framed.vmcore.zst")
	f, err := os.Create(framed)
	require.NoError(t, err)
	w, err := pack.NewWriter(f, framed)
	require.NoError(t, err)
	_, err = w.Write(b)
	require.NoError(t, errors.Join(err, w.Close(), f.Close()))
	var refuses atomic.Bool
	files := http.FileServer(http.Dir(dir))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	want := converted(t, in, t.TempDir())
	for _, source := range []string{framed, s.URL + "/core.vmcore?hush=hushhush", s.URL + "/framed.vmcore.zst"} {
		m := mountOn(t, t.TempDir(), func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "TMPDIR=/nowhere") }, source)
		want["triage.dmp"] = convertedTo(t, source, t.TempDir(), "triage.dmp") // it says what it was made of
		for name, sum := range want {
			assert.Equal(t, sum, digest(t, m.file(name)), "%s: %s", source, name)
		}
		mounts, err := os.ReadFile("/proc/self/mounts")
		require.NoError(t, err)
		assert.NotContains(t, string(mounts), "hushhush")
		m.unmount(t)
		assert.Zero(t, m.code(t), m.stderr)
		assert.NotContains(t, m.stderr.String(), "hushhush")
	}
	m := mountOn(t, t.TempDir(), nil, s.URL+"/core.vmcore?hush=hushhush")
	refuses.Store(true)
	_, err = os.ReadFile(m.file("memory.dmp"))
	require.ErrorIs(t, err, unix.EIO)
	_, err = os.Stat(m.file("kernel.dmp"))
	require.ErrorIs(t, err, unix.EIO)
	refuses.Store(false)
	assert.Equal(t, want["memory.dmp"], digest(t, m.file("memory.dmp")))
	assert.Equal(t, want["kernel.dmp"], digest(t, m.file("kernel.dmp")))
	m.unmount(t)
	assert.Equal(t, exitcode.Failed, m.code(t), m.stderr)
	assert.Contains(t, m.stderr.String(), "the server answers 403 Forbidden")
	assert.NotContains(t, m.stderr.String(), "hushhush")
}

// converted are the digests of what convert writes of a source to a folder, by the names
// in a mounted one.
func converted(t *testing.T, source, dir string) map[string]uint64 {
	t.Helper()
	list := map[string]uint64{}
	for name := range kinds {
		list[name] = convertedTo(t, source, dir, name)
	}
	return list
}

// convertedTo is the digest of one of them.
func convertedTo(t *testing.T, source, dir, name string) uint64 {
	t.Helper()
	out := filepath.Join(dir, name)
	got := finishHere(append([]string{"convert", source, out}, kinds[name]...)...)
	require.Zero(t, got.code, got.stderr)
	return digest(t, out)
}
