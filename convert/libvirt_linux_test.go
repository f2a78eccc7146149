package convert_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/qemutest"
	"windmp/internal/testtime"
)

// nobody is the user and the group that libvirt's session runs as where the tests are
// root's: root has the daemon of the system, which is to be left alone.
const nobody = 65534

// A libvirt is a session of libvirt that has folders of its own, and touches nothing of
// another.
type libvirt struct {
	t    *testing.T
	dir  string
	env  []string
	cred *syscall.SysProcAttr
}

// startLibvirt starts virtlogd and libvirtd, and ends them with the test.
func startLibvirt(t *testing.T) *libvirt {
	t.Helper()
	var programs []string
	for _, name := range []string{"virtlogd", "libvirtd"} {
		path := "/usr/sbin/" + name
		if _, err := os.Stat(path); err != nil {
			t.Skipf("DID NOT RUN: no %s (Debian: libvirt-daemon and libvirt-daemon-driver-qemu)", path)
		}
		programs = append(programs, path)
	}
	if _, err := exec.LookPath("virsh"); err != nil {
		t.Skip("DID NOT RUN: no virsh (Debian: libvirt-clients)")
	}
	// Not t.TempDir: sockets have short paths, and the session's user has to get there.
	dir, err := os.MkdirTemp("/tmp", "lv")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	l := &libvirt{t: t, dir: dir, cred: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}}
	l.env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir+"/run", "XDG_CONFIG_HOME="+dir+"/config", "XDG_CACHE_HOME="+dir+"/cache", "XDG_DATA_HOME="+dir+"/data")
	for _, name := range []string{"", "run", "config", "cache", "data"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
		if os.Geteuid() == 0 {
			l.cred.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
			require.NoError(t, os.Chown(filepath.Join(dir, name), nobody, nobody))
		}
	}
	for _, path := range programs {
		cmd := l.command(path)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		})
		name := strings.TrimPrefix(filepath.Base(path), "/")
		l.until(name, func() bool {
			_, err := os.Stat(filepath.Join(dir, "run", "libvirt", name[:len(name)-1]+"-sock"))
			_, err2 := os.Stat(filepath.Join(dir, "run", "libvirt", name+"-sock"))
			return err == nil || err2 == nil
		})
	}
	return l
}

func (l *libvirt) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.SysProcAttr, cmd.Dir = l.env, l.cred, l.dir
	return cmd
}

// virsh runs a command, and returns what it says.
func (l *libvirt) virsh(args ...string) string {
	l.t.Helper()
	out, err := l.command("virsh", append([]string{"-q", "-c", "qemu:///session"}, args...)...).CombinedOutput()
	require.NoError(l.t, err, "virsh %v: %s", args, out)
	return string(out)
}

func (l *libvirt) until(what string, done func() bool) {
	l.t.Helper()
	for end := time.Now().Add(testtime.Limit(time.Minute)); !done(); time.Sleep(20 * time.Millisecond) {
		require.True(l.t, time.Now().Before(end), "waited for %s", what)
	}
}

const libvirtDomain = `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<name>guest</name><memory unit='MiB'>32</memory><vcpu>2</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>%[1]s/guest.bin</kernel><cmdline>bsod</cmdline></os>
<features><acpi/><apic/><vmcoreinfo state='on'/></features>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><memballoon model='none'/></devices>
<qemu:commandline><qemu:arg value='-debugcon'/><qemu:arg value='file:%[1]s/console'/></qemu:commandline></domain>`

// TestLibvirt: what a real libvirt saves, by virsh save and by virsh dump, becomes the dump
// that QEMU's own win-dmp is of the same stopped machine.
func TestLibvirt(t *testing.T) {
	qemutest.Require(t)
	t.Parallel()
	image := qemutest.Image(t)
	l := startLibvirt(t)
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "guest.bin"), image, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "guest.xml"), fmt.Appendf(nil, libvirtDomain, l.dir), 0o644))
	l.virsh("create", l.dir+"/guest.xml")
	l.until("the guest", func() bool {
		text, _ := os.ReadFile(filepath.Join(l.dir, "console"))
		return strings.HasSuffix(string(text), "READY\n")
	})
	l.until("the processors to rest", func() bool {
		return strings.Count(l.virsh("qemu-monitor-command", "guest", "--hmp", "info registers -a"), "HLT=1") == 2
	})
	l.virsh("suspend", "guest")
	l.virsh("dump", "guest", l.dir+"/vmcore", "--memory-only")
	l.virsh("dump", "guest", l.dir+"/win.dmp", "--memory-only", "--format=win-dmp")
	l.virsh("dump", "guest", l.dir+"/dump")
	// QEMU saves a machine once; its processors halt for good.
	l.virsh("resume", "guest")
	l.virsh("suspend", "guest")
	l.virsh("save", "guest", l.dir+"/save")
	win, err := os.ReadFile(filepath.Join(l.dir, "win.dmp"))
	require.NoError(t, err)
	for name, want := range map[string]string{
		"dump": "QEMU migration stream, machine pc-i440fx-",
		"save": `libvirt save file of the guest "guest", QEMU migration stream, machine pc-i440fx-`,
	} {
		d := &dumps{elf: filepath.Join(l.dir, "vmcore"), stream: filepath.Join(l.dir, name), win: win}
		r := witnessStream(t, d, "bsod")
		assert.Contains(t, r.Input.Description, want)
		sameAsELF(t, d)
	}
}
