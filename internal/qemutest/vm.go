package qemutest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"windmp/internal/testtime"
)

// Config says which machine to boot. The zero value is a "pc" with one CPU and 4 MiB.
type Config struct {
	Machine       string   // -machine: "pc" (default), "q35", with options after commas
	CPUs          int      // -smp: 1 (default) to 8
	Memory        string   // -m: "4M" by default, the least
	MaxRAMBelow4G string   // max-ram-below-4g: "4M" with Memory "8M" puts 4 MiB above 4 GiB
	VGA           bool     // -vga std: splits RAM at 640 KiB and adds 16 MiB of video RAM
	CPUModel      string   // -cpu: "qemu64" by default; "max" has 5-level paging
	Variant       []string // words for the guest, see testdata/guest/README.md
	Guest32       bool     // the 32-bit guest; its words are in testdata/guest32/README.md
	I386          bool     // the 32-bit guest, under qemu-system-i386, which writes no win-dmp
	GuestARM64    bool     // the guest of 64-bit Arm; its words are in testdata/guestarm64/README.md
	Images        bool     // with the images of testdata/images, which run and crash
	Extra         []string // further QEMU arguments
	// SeaBIOS boots with QEMU's own firmware, as those with VGA do, and not with the quickest:
	// where it is about the firmware's memory, or what it leaves in RAM.
	SeaBIOS bool
	// Busy boots a program that writes to 128 pages of memory all the time, in place of
	// the guest.
	Busy bool
}

// bootTimeout is generous: a loaded two-core machine needs a few seconds.
var bootTimeout = testtime.Limit(3 * time.Minute)

// VM is a stopped virtual machine whose guest has built everything and halted its CPUs.
// Its methods must not be called from several goroutines at once.
type VM struct {
	cmd   *exec.Cmd
	qmp   *qmp
	dir   string
	ended chan error // closed when QEMU has ended
	files int
}

// Start boots the guest, waits until every CPU rests, and stops the machine. The test
// fails, with QEMU's and the guest's messages, when that does not happen in time. The
// machine is gone when the test ends.
func Start(tb testing.TB, config Config) *VM {
	tb.Helper()
	kind := kindOf(config)
	requireTools(tb, kind.tools()...)
	image, err := kind.made()
	if config.Busy {
		image = busySector()
	}
	if err != nil {
		tb.Fatal(err)
	}
	// Not tb.TempDir: a unix socket's path has room for 107 bytes.
	dir, err := os.MkdirTemp("", "qemutest")
	if err != nil {
		tb.Fatal(err)
	}
	vm := &VM{dir: dir, ended: make(chan error, 1)}
	tb.Cleanup(vm.close)
	if err := os.WriteFile(vm.path("guest.bin"), image, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := vm.boot(config); err != nil {
		tb.Fatalf("booting the guest: %v\nvariant: %s\nguest said: %s\nqemu said: %s",
			err, strings.Join(config.Variant, " "), vm.Console(), vm.Warnings())
	}
	return vm
}

func (vm *VM) path(name string) string { return filepath.Join(vm.dir, name) }

// arguments builds the command line.
func (vm *VM) arguments(c Config) []string {
	board := kindOf(c).board
	machine, memory, cpus := cmp.Or(c.Machine, board.machine), cmp.Or(c.Memory, board.memory), max(c.CPUs, 1)
	if c.MaxRAMBelow4G != "" {
		machine += ",max-ram-below-4g=" + c.MaxRAMBelow4G
	}
	args := []string{
		"-accel", "tcg", "-display", "none", "-nodefaults", "-no-reboot",
		"-machine", machine, "-m", memory, "-smp", strconv.Itoa(cpus),
		"-qmp", "unix:" + vm.path("qmp"),
	}
	args = append(args, board.console(vm.path("console"))...)
	if c.Busy {
		args = append(args, "-drive", "if=ide,format=raw,file="+vm.path("guest.bin"))
	} else {
		args = append(args, "-kernel", vm.path("guest.bin"))
	}
	if len(c.Variant) > 0 {
		args = append(args, "-append", strings.Join(c.Variant, " "))
	}
	if model := cmp.Or(c.CPUModel, board.cpu); model != "" {
		args = append(args, "-cpu", model)
	}
	if c.VGA {
		args = append(args, "-vga", "std")
	}
	if quick := board.firmware; quick != "" && !c.VGA && !c.SeaBIOS && !c.Busy {
		args = append(args, "-bios", quick)
	}
	return append(args, c.Extra...)
}

// boot starts QEMU, which connects to a socket of ours, and waits for the guest.
func (vm *VM) boot(config Config) error {
	listener, err := net.Listen("unix", vm.path("qmp"))
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	stderr, err := os.Create(vm.path("stderr"))
	if err != nil {
		return err
	}
	defer func() { _ = stderr.Close() }()
	vm.cmd = exec.Command(kindOf(config).board.qemu, vm.arguments(config)...)
	vm.cmd.Stderr = stderr
	if err := vm.cmd.Start(); err != nil {
		return err
	}
	go func() {
		vm.ended <- vm.cmd.Wait()
		close(vm.ended)
		_ = listener.Close() // wakes Accept
	}()
	conn, err := listener.Accept()
	if err != nil {
		return fmt.Errorf("waiting for qemu to connect: %w", err)
	}
	if vm.qmp, err = newQMP(conn); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootTimeout)
	defer cancel()
	if err := vm.waitUntil(ctx, "the guest to be ready", vm.ready); err != nil {
		return err
	}
	if !config.Busy {
		atRest := func() (bool, error) { return vm.atRest(kindOf(config).board) }
		if err := vm.waitUntil(ctx, "all CPUs to rest", atRest); err != nil {
			return err
		}
	}
	return vm.qmp.run("stop", nil, nil)
}

func (vm *VM) waitUntil(ctx context.Context, what string, done func() (bool, error)) error {
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %v for %s", bootTimeout, what)
		case err := <-vm.ended:
			return fmt.Errorf("qemu ended while waiting for %s: %w", what, errors.Join(err, errDied))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ready reads the guest's console: it ends with READY, or with a line about what failed.
func (vm *VM) ready() (bool, error) {
	console := vm.Console()
	if i := strings.Index(console, "FAIL: "); i >= 0 && strings.HasSuffix(console, "\n") {
		return false, errors.New(strings.TrimSpace(console[i:]))
	}
	return strings.HasSuffix(console, "READY\n"), nil
}

// trapPage is where every gate of the guest's IDT leads, 16 bytes a vector (NT_TRAPS in
// testdata/guest/guest.h): a CPU that halts there took an exception it should not have.
const trapPage = 0xfffff8004200b000

// atRest reports whether every CPU has halted, or spins in user mode, in its final state.
func (vm *VM) atRest(b *board) (bool, error) {
	text, err := vm.HMP("info registers -a")
	if err != nil {
		return false, err
	}
	cpus := 0
	for line := range strings.Lines(text) {
		rests, seen, err := b.rests(line)
		switch {
		case err != nil:
			return false, fmt.Errorf("CPU %d: %w", cpus, err)
		case !seen:
			continue
		case !rests:
			return false, nil
		}
		cpus++
	}
	return cpus > 0, nil
}

// restsX86: QEMU says whether a CPU has halted; user mode can't.
func restsX86(line string) (rests, seen bool, err error) {
	if !strings.HasPrefix(line, "RIP=") && !strings.HasPrefix(line, "EIP=") {
		return false, false, nil
	}
	var rip uint64
	if _, err := fmt.Sscanf(line, "RIP=%x", &rip); err == nil && rip&^0xfff == trapPage {
		return false, true, fmt.Errorf("exception %#x of the guest", rip&0xfff>>4)
	}
	return strings.Contains(line, "HLT=1") || strings.Contains(line, "CPL=3"), true, nil
}

// Console returns what the guest wrote to the debug console.
func (vm *VM) Console() string {
	text, _ := os.ReadFile(vm.path("console"))
	return string(text)
}

// Warnings returns what QEMU wrote to its standard error.
func (vm *VM) Warnings() string {
	text, _ := os.ReadFile(vm.path("stderr"))
	return string(text)
}

// HMP runs a command of QEMU's human monitor, such as "info registers -a".
func (vm *VM) HMP(command string) (string, error) {
	var text string
	err := vm.qmp.run("human-monitor-command", map[string]any{"command-line": command}, &text)
	return text, err
}

// close ends QEMU and removes its files.
func (vm *VM) close() {
	if vm.cmd != nil && vm.cmd.Process != nil {
		_ = vm.cmd.Process.Kill()
		for range vm.ended { // until closed: the process is gone and reaped
		}
	}
	if vm.qmp != nil {
		_ = vm.qmp.conn.Close()
	}
	_ = os.RemoveAll(vm.dir)
}
