package qemutest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"

	"windmp/internal/testheap"
)

// maxSample bounds a decompressed sample; the largest is a few MiB.
const maxSample = 64 << 20

// Sample is a committed pair of dumps under testdata: an ELF vmcore and the Windows dump
// that QEMU itself wrote of the same stopped guest.
type Sample struct {
	Name   string     // of the vmcore, without extension
	Guest  string     // which machine and guest, key of [Sample.winFile]; several vmcores may share one
	Config Config     // the machine
	ELF    ELFOptions // how the vmcore was dumped
	Plain  bool       // the vmcore is committed uncompressed, to be converted as it is
	Kdump  bool       // a kdump-compressed dump is committed as well
	NoWin  bool       // without QEMU's Windows dump
}

// ramOnly leaves out the block of the BIOS below 4 GiB, whose bytes are not ours.
func ramOnly(paging bool) ELFOptions {
	return ELFOptions{Paging: paging, Length: 0xfffc0000}
}

// quiet turns system management mode off: the BIOS would leave code of its own in RAM.
func quiet(machine string, cpus int, words string, extra ...string) Config {
	return Config{
		Machine: machine + ",smm=off", CPUs: cpus, Memory: "4M", SeaBIOS: true,
		Variant: strings.Fields(words), Extra: extra,
	}
}

// quiet32 is quiet for the 32-bit guest.
func quiet32(words string) Config {
	c := quiet("pc", 2, words)
	c.Guest32 = true
	return c
}

// Samples lists what is committed under testdata. testdata/README.md describes it.
func Samples() []Sample {
	live := quiet("pc", 2, "live")
	shadow := quiet("pc", 2, "shadow user pcid")
	// A small graphics card without its BIOS: RAM is split at 640 KiB, and there is video RAM.
	vga := quiet("pc", 2, "swbits", "-device", "VGA,vgamem_mb=1,romfile=")
	la57 := quiet("pc", 1, "la57")
	la57.CPUModel = "qemu64,+la57"
	return []Sample{
		{Name: "guest-bsod", Guest: "guest-bsod", Config: quiet("pc", 2, "bsod crashcpu=1"), ELF: ramOnly(false), Plain: true},
		{Name: "live-2cpu", Guest: "live-2cpu", Config: live, ELF: ramOnly(false), Kdump: true},
		{Name: "live-2cpu-paging", Guest: "live-2cpu", Config: live, ELF: ramOnly(true)},
		// Begins and ends inside pages that no run of the header lists.
		{Name: "live-2cpu-filtered", Guest: "live-2cpu", Config: live, ELF: ELFOptions{Begin: 0x123, Length: 0x3e0000}},
		// Begins and ends inside pages of the runs: what is cut off is missing.
		{Name: "live-2cpu-cut", Guest: "live-2cpu", Config: live, ELF: ELFOptions{Begin: 0x1123, Length: 0x3be000}},
		{Name: "bsod-4cpu-q35", Guest: "bsod-4cpu-q35", Config: quiet("q35", 4, "bsod crashcpu=2"), ELF: ramOnly(false)},
		{Name: "encoded-2cpu", Guest: "encoded-2cpu", Config: quiet("pc", 2, "encoded"), ELF: ramOnly(false)},
		{Name: "swbits-2cpu-vga-paging", Guest: "swbits-2cpu-vga", Config: vga, ELF: ramOnly(true)},
		{Name: "shadow-user-2cpu", Guest: "shadow-user-2cpu", Config: shadow, ELF: ramOnly(false)},
		{Name: "shadow-user-2cpu-paging", Guest: "shadow-user-2cpu", Config: shadow, ELF: ramOnly(true)},
		{Name: "odd-runs-2cpu", Guest: "odd-runs-2cpu", Config: quiet("q35", 2, "odd encoded bsod transition runs=9"), ELF: ramOnly(false)},
		{Name: "swapcpu-3cpu", Guest: "swapcpu-3cpu", Config: quiet("pc", 3, "swapcpu"), ELF: ramOnly(false)},
		{Name: "la57-1cpu", Guest: "la57-1cpu", Config: la57, ELF: ramOnly(false)},
		{Name: "x86-bsod-2cpu", Guest: "x86-bsod-2cpu", Config: quiet32("bsod"), ELF: ramOnly(false)},
		{Name: "x86-live-2cpu-paging", Guest: "x86-live-2cpu", Config: quiet32("live"), ELF: ramOnly(true), Kdump: true},
		{Name: "x86-nopae-2cpu", Guest: "x86-nopae-2cpu", Config: quiet32("nopae odd bsod"), ELF: ramOnly(false)},
		{Name: "x86-nopae-live-2cpu", Guest: "x86-nopae-live-2cpu", Config: quiet32("nopae"), ELF: ramOnly(false)},
	}
}

// ImageSamples lists the committed vmcores of guests whose images ran and crashed. They
// are there for their stacks, which the guest lists itself: see testdata/images/README.md.
func ImageSamples() []Sample {
	trap := quiet("pc", 2, "crash=0xd1 swapcpu")
	trap.Images = true
	// The same crash, elsewhere, on a processor with 5-level paging.
	moved := quiet("pc", 1, "crash=0xd1 slide=5 la57")
	moved.Images = true
	moved.CPUModel = "qemu64,+la57"
	thread := quiet32("crash=0x7e")
	thread.Images = true
	return []Sample{
		{Name: "stack-trap-2cpu", Guest: "stack-trap-2cpu", Config: trap, ELF: ramOnly(false), NoWin: true},
		{Name: "stack-moved-1cpu", Guest: "stack-moved-1cpu", Config: moved, ELF: ramOnly(false), NoWin: true},
		{Name: "stack-x86-2cpu", Guest: "stack-x86-2cpu", Config: thread, ELF: ramOnly(false), NoWin: true},
	}
}

// ARM64Samples lists the committed vmcores of the guest of 64-bit Arm, which QEMU writes
// no Windows dump of.
func ARM64Samples() []Sample {
	of := func(words string) Config {
		return Config{GuestARM64: true, CPUs: 2, Variant: strings.Fields(words)}
	}
	return []Sample{
		{Name: "arm64-bsod-2cpu", Guest: "arm64-bsod-2cpu", Config: of("bsod swapcpu"), NoWin: true},
		{Name: "arm64-live-2cpu", Guest: "arm64-live-2cpu", Config: of("live encoded"), NoWin: true, Kdump: true},
	}
}

// coreFile is the name of the vmcore under testdata.
func (s Sample) coreFile() string {
	if s.Plain {
		return s.Name + ".vmcore"
	}
	return s.Name + ".vmcore.gz"
}

// KdumpFile is the name of the kdump-compressed dump under testdata, if there is one:
// flattened, with zlib pages, as QEMU writes it; the pages of a PC's BIOS are zeros.
func (s Sample) KdumpFile() string { return s.Name + ".kdump.gz" }

// winFile is the name of QEMU's Windows dump under testdata.
func (s Sample) winFile() string { return s.Guest + ".win-dmp.gz" }

// Core returns the bytes of the vmcore.
func (s Sample) Core(tb testing.TB) []byte {
	tb.Helper()
	return testheap.Clone(tb, Unpacked(tb, s.coreFile()))
}

// WinDump returns the bytes of QEMU's Windows dump.
func (s Sample) WinDump(tb testing.TB) []byte {
	tb.Helper()
	return testheap.Clone(tb, Unpacked(tb, s.winFile()))
}

// unpacked are the files under testdata that were read, by name: what reads one
// again gets the same bytes.
var unpacked = struct {
	sync.Mutex
	files map[string]func() ([]byte, error)
}{files: map[string]func() ([]byte, error){}}

// Unpacked returns the bytes of a file under testdata, those of what is packed in it
// where its name ends in .gz. It is read once in a process: its bytes belong to all
// tests and are not to be changed.
func Unpacked(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := reader(name)()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// reader reads a file, once for all who ask.
func reader(name string) func() ([]byte, error) {
	unpacked.Lock()
	defer unpacked.Unlock()
	read, ok := unpacked.files[name]
	if !ok {
		read = sync.OnceValues(func() ([]byte, error) { return readSample(name) })
		unpacked.files[name] = read
	}
	return read
}

func readSample(name string) ([]byte, error) {
	path, err := Testdata(name)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(name, ".gz") {
		return protected(len(data), func(b []byte) error {
			copy(b, data)
			return nil
		})
	}
	size := min(maxSample, binary.LittleEndian.Uint32(data[len(data)-4:])) // RFC 1952, 2.3.1: ISIZE
	return protected(int(size), func(b []byte) error { return gunzip(b, data) })
}

// gunzip unpacks data, which has the size of b unpacked.
func gunzip(b, data []byte) error {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) { // the sum is read at the end
		return errors.Join(errors.New("the packed sample does not end where it says"), err)
	}
	return nil
}
