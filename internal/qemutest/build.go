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
	requireTools(tb, qemuBinary, compiler)
}

func requireTools(tb testing.TB, tools ...string) {
	tb.Helper()
	if testing.Testing() && testing.Short() {
		tb.Skip("-short: NOT comparing with real QEMU")
	}
	if os.Getenv(requireVariable) == "never" {
		tb.Skipf("%s=never: NOT comparing with real QEMU", requireVariable)
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		const advice = "%s is missing: NOT comparing with real QEMU (Debian: scripts/deps installs it)"
		if os.Getenv(requireVariable) == "1" {
			tb.Fatalf(advice, tool)
		}
		tb.Skipf(advice, tool)
	}
}

// guestKind is one of the guests: where its source is, and how it is compiled.
type guestKind struct {
	folder string   // under testdata
	flags  []string // of gcc
	images *imageSet
	made   func() ([]byte, error) // at the first call
}

// tools are the programs that are needed to make it and run it.
func (k *guestKind) tools() []string {
	if k.images != nil {
		return []string{qemuBinary, compiler, k.images.compiler}
	}
	return []string{qemuBinary, compiler}
}

// The guests, by [Config.Guest32] and [Config.Images].
var guestKinds = map[bool]map[bool]*guestKind{
	false: {
		false: newKind("guest", nil, "-m64", "-mno-red-zone"),
		true:  newKind("guest", &images64, "-m64", "-mno-red-zone"),
	},
	true: {
		false: newKind("guest32", nil, "-m32"),
		true:  newKind("guest32", &images32, "-m32"),
	},
}

func newKind(folder string, images *imageSet, flags ...string) *guestKind {
	k := &guestKind{folder: folder, images: images, flags: flags}
	k.made = sync.OnceValues(k.build)
	return k
}

// build compiles the guest's flat multiboot image, with the images in it if there are some.
func (k *guestKind) build() ([]byte, error) {
	dir, err := os.MkdirTemp("", "windmp-guest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	source, err := Testdata(k.folder)
	if err != nil {
		return nil, err
	}
	image := filepath.Join(dir, "guest.bin")
	args := slices.Concat([]string{"-T", filepath.Join(source, "guest.lds"), "-o", image}, compilerFlags, k.flags)
	patterns := []string{filepath.Join(source, "*.S"), filepath.Join(source, "*.c")}
	if k.images != nil {
		if err := k.images.build(dir); err != nil {
			return nil, err
		}
		args = append(args, "-DIMAGES=1", "-I"+source, "-Wa,-I"+dir)
		loader, err := Testdata("images", "guest", "*.[Sc]")
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, loader)
	}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		args = append(args, files...)
	}
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
