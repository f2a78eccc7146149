package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"windmp/convert/exitcode"
)

// TestMountAsUser: who may not mount does it by fusermount3.
func TestMountAsUser(t *testing.T) {
	t.Parallel()
	requireFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("all of these tests are run by a user")
	}
	if st, err := os.Stat("/dev/fuse"); err != nil || st.Mode()&0o006 != 0o006 {
		t.Skip("DID NOT RUN: /dev/fuse is root's alone")
	}
	dir := folderOf(t, nobody)
	m := mountOn(t, dir, asNobody(t), copyFor(t, nobody))
	_, err := os.ReadDir(dir)
	require.ErrorIs(t, err, unix.EACCES, "root is not the user")
	require.NoError(t, m.Process.Signal(syscall.SIGTERM))
	assert.Zero(t, m.code(t), m.stderr)
	assert.Empty(t, namesIn(t, dir))
}

// TestMountRefusedByHelper: fusermount3 says itself why it refuses, with a status that go-fuse
// passes on as what looks like an exit code and is none. What else goes wrong is passed on.
func TestMountRefusedByHelper(t *testing.T) {
	t.Parallel()
	skipFor(t, noDevice())
	user := os.Geteuid()
	var prepare func(*exec.Cmd)
	if user == 0 { // who might mount without it
		user, prepare = nobody, asNobody(t)
	}
	const contained = " (a container needs the right to mount, CAP_SYS_ADMIN)\n"
	fails, err := exec.LookPath("false")
	require.NoError(t, err)
	// Neither is opened for writing: a file is busy while another test's process has it.
	refusing := func(path string) error { return os.Symlink(fails, path) }
	empty := func(path string) error { return unix.Mknod(path, unix.S_IFREG|0o700, 0) }
	for name, tt := range map[string]struct {
		install func(path string) error
		want    string
		flags   []string
	}{
		"it refuses":    {refusing, ": mounting: fusermount3 refused it" + contained, nil},
		"it is none":    {empty, ": exec format error" + contained, nil},
		"for all users": {refusing, ": mounting for all users: fusermount3 refused it (users other than root may where /etc/fuse.conf has user_allow_other)\n", []string{"--allow-other"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, programs := folderOf(t, user), folderOf(t, user)
			fake := filepath.Join(programs, "fusermount3")
			require.NoError(t, tt.install(fake))
			require.NoError(t, os.Lchown(fake, user, user))
			cmd := command(t, append([]string{"mount", copyFor(t, user), dir}, tt.flags...)...)
			cmd.Env = append(cmd.Env, "PATH="+programs)
			if prepare != nil {
				prepare(cmd)
			}
			got := finish(t, cmd)
			assert.Equal(t, exitcode.Failed, got.code)
			assert.Contains(t, got.stderr, tt.want)
		})
	}
}

// nobody is a user, and a group, without any rights.
const nobody = 65534

// asNobody makes processes that root starts nobody's.
func asNobody(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	exe, err := os.Open("/proc/self/exe") // its folder is root's
	require.NoError(t, err)
	t.Cleanup(func() { _ = exe.Close() })
	return func(cmd *exec.Cmd) {
		cmd.Path, cmd.ExtraFiles = "/proc/self/fd/3", []*os.File{exe}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir = "/"
	}
}

// folderOf is an empty folder of a user.
func folderOf(t *testing.T, uid int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chown(dir, uid, uid))
	return dir
}

// copyFor is a copy of the sample that a user can read.
func copyFor(t *testing.T, uid int) string {
	t.Helper()
	core, err := os.ReadFile(mountedCore)
	require.NoError(t, err)
	f, err := os.CreateTemp("", "*.vmcore")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Remove(f.Name()) })
	_, err = f.Write(core)
	require.NoError(t, errors.Join(err, f.Chown(uid, uid), f.Close()))
	return f.Name()
}
