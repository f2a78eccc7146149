package qemutest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

const (
	qemuBinary = "qemu-system-x86_64"
	compiler   = "gcc"
	// requireVariable turns the skip of [Require] into a failure.
	requireVariable = "WINDMP_REQUIRE_QEMU"
)

// compilerFlags make gcc build one flat image that needs neither a C library nor SSE.
var compilerFlags = []string{
	"-O2", "-std=gnu11", "-ffreestanding", "-nostdlib", "-static",
	"-fno-pic", "-no-pie", "-fno-stack-protector", "-mgeneral-regs-only",
	"-fno-asynchronous-unwind-tables", "-fcf-protection=none",
	"-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none", "-Wl,--oformat=binary",
}

// Require skips the test, or fails it if WINDMP_REQUIRE_QEMU=1, when QEMU or the
// compiler of the guest is missing. WINDMP_REQUIRE_QEMU=never skips it anyway, and so
// does -short: to compile and boot a guest takes over a second.
func Require(tb testing.TB) {
	tb.Helper()
	if testing.Testing() && testing.Short() {
		tb.Skip("-short: NOT comparing with real QEMU")
	}
	if os.Getenv(requireVariable) == "never" {
		tb.Skipf("%s=never: NOT comparing with real QEMU", requireVariable)
	}
	for _, tool := range []string{qemuBinary, compiler} {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		const advice = "%s is missing: NOT comparing with real QEMU (Debian: apt-get install qemu-system-x86 gcc)"
		if os.Getenv(requireVariable) == "1" {
			tb.Fatalf(advice, tool)
		}
		tb.Skipf(advice, tool)
	}
}

// guestImage is the guest's flat multiboot image, compiled at the first call;
// guestImage32 that of the 32-bit guest.
var (
	guestImage   = sync.OnceValues(func() ([]byte, error) { return buildGuest("guest", "-m64", "-mno-red-zone") })
	guestImage32 = sync.OnceValues(func() ([]byte, error) { return buildGuest("guest32", "-m32") })
)

// buildGuest compiles what is in a folder under testdata.
func buildGuest(folder string, machine ...string) ([]byte, error) {
	source, err := Testdata(folder)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, pattern := range []string{"*.S", "*.c"} {
		found, err := filepath.Glob(filepath.Join(source, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	dir, err := os.MkdirTemp("", "windmp-guest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	image := filepath.Join(dir, "guest.bin")
	args := slices.Concat([]string{"-T", filepath.Join(source, "guest.lds"), "-o", image}, compilerFlags, machine, files)
	output, err := exec.Command(compiler, args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("compiling the guest in %s: %w\n%s", source, err, output)
	}
	return os.ReadFile(image)
}

// Testdata returns the path of a file or folder under the module's testdata folder,
// which is looked for from the working directory upwards.
func Testdata(elem ...string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(append([]string{dir, "testdata"}, elem...)...), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
