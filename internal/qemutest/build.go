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
	"-fno-asynchronous-unwind-tables",
	"-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none",
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

// guestKind is one of the guests: where its source is, how it is compiled, and what runs it.
type guestKind struct {
	folder string   // under testdata
	flags  []string // of the compiler
	images *imageSet
	board  *board
	made   func() ([]byte, error) // at the first call
}

// board is what differs between the machines of QEMU that guests run on.
type board struct {
	qemu, compiler string
	// objcopy makes the flat image of what was linked; empty where the linker does.
	objcopy string
	// firmware is what boots a kernel soonest, empty for QEMU's own. It maps no memory of a
	// display, and boots from no disk.
	firmware string
	// machine, cpu and memory are those of a Config that does not say it.
	machine, cpu, memory string
	// console are the arguments for a console in a file.
	console func(file string) []string
	// rests tells of a line of "info registers" that is about an instruction pointer
	// whether the CPU rests there; seen is false for other lines. The error is that it
	// took an exception.
	rests func(line string) (rests, seen bool, err error)
	// flags are those of the compiler, for all guests.
	flags []string
}

var pc = &board{
	qemu: qemuBinary, compiler: compiler, machine: "pc", memory: "4M",
	firmware: "qboot.rom", // comes with QEMU; a boot takes a third of SeaBIOS's time
	console:  func(file string) []string { return []string{"-device", "vmcoreinfo", "-debugcon", "file:" + file} },
	rests:    restsX86,
	flags:    []string{"-fcf-protection=none", "-Wl,--oformat=binary"},
}

// tools are the programs that are needed to make it and run it.
func (k *guestKind) tools() []string {
	list := []string{k.board.qemu, k.board.compiler}
	if k.board.objcopy != "" {
		list = append(list, k.board.objcopy)
	}
	if k.images != nil {
		list = append(list, k.images.compiler)
	}
	return list
}

// kindOf is the guest that a Config asks for.
func kindOf(c Config) *guestKind {
	if c.GuestARM64 {
		return kindARM64
	}
	if c.I386 {
		return kindI386
	}
	return guestKinds[c.Guest32][c.Images]
}

// kindI386 is the 32-bit guest on the QEMU that has no long mode.
var kindI386 = func() *guestKind {
	k, board := newKind("guest32", nil, "-m32"), *pc
	board.qemu = "qemu-system-i386"
	k.board = &board
	return k
}()

// The guests of PCs, by [Config.Guest32] and [Config.Images].
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
	k := &guestKind{folder: folder, images: images, flags: flags, board: pc}
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
	linked := image
	if k.board.objcopy != "" {
		linked = filepath.Join(dir, "guest.elf")
	}
	args := slices.Concat([]string{"-T", filepath.Join(source, "guest.lds"), "-o", linked}, compilerFlags, k.board.flags, k.flags)
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
	output, err := exec.Command(k.board.compiler, args...).CombinedOutput()
	if err == nil && linked != image {
		output, err = exec.Command(k.board.objcopy, "-O", "binary", linked, image).CombinedOutput()
	}
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
