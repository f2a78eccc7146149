//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// bases are the inputs that are cut and changed.
var bases = []string{
	"guest-bsod.vmcore", "live-2cpu-paging.vmcore", "live-2cpu.kdump", "guest-bsod.win-dmp", "odd-runs-2cpu.bitmap.dmp",
	"x86-bsod-2cpu.vmcore", "x86-bsod-2cpu.win-dmp", "x86-nopae-2cpu.kernel.dmp", "encoded-2cpu.vbox", "live-2cpu.gdb",
}

// addBroken adds files that end too early, and files of other programs.
func (s *inputSet) addBroken() error {
	for _, base := range bases {
		data, err := os.ReadFile(filepath.Join(s.dir, base))
		if err != nil {
			return err
		}
		n := len(data)
		for _, at := range []int{4, 63, 64, 200, 0x1000, 0x1fff, 0x2000, 0x2030, 0x3000, n / 5, n / 2, n - 0x1001, n - 1} {
			if err := s.add(broken, fmt.Sprintf("cut-%#x-%s", at, base), data[:at]); err != nil {
				return err
			}
		}
	}
	core, err := os.ReadFile(filepath.Join(s.dir, "live-2cpu.vmcore.gz"))
	if err != nil {
		return err
	}
	var text bytes.Buffer
	w := gzip.NewWriter(&text)
	_, _ = w.Write([]byte("no memory of any machine\n"))
	_ = w.Close()
	for _, wrong := range []struct{ name, content string }{
		{"wrong-empty", ""},
		{"wrong-text", "no memory of any machine\n"},
		{"wrong-zeros", strings.Repeat("\x00", 1<<20)},
		{"wrong-png", "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 5000)},
		{"wrong-qcow2", "QFI\xfb\x00\x00\x00\x03" + strings.Repeat("\x00", 5000)},
		{"wrong-minidump", "MDMP\x93\xa7" + strings.Repeat("\x00", 5000)},
		{"wrong-elf", "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 5000)},
		{"wrong-text.gz", text.String()},
		{"wrong-gzip.gz", "\x1f\x8b" + strings.Repeat("\x00", 100)},
		{"wrong-zstd.zst", "\x28\xb5\x2f\xfd" + strings.Repeat("\x00", 100)},
		{"wrong-zip.zip", "PK\x05\x06" + strings.Repeat("\x00", 18)},
		{"cut-live-2cpu.vmcore.gz", string(core[:len(core)/2])},
		{"behind-live-2cpu.vmcore.gz", string(core) + "garbage"},
	} {
		if err := s.add(broken, wrong.name, []byte(wrong.content)); err != nil {
			return err
		}
	}
	return nil
}

// mutations is how many changed copies there are of each base.
const mutations = 40

// addMutated adds copies that differ in one number: of the headers, of KDBG, of what
// lies anywhere. They are the same at each run.
func (s *inputSet) addMutated() error {
	for b, base := range bases {
		data, err := os.ReadFile(filepath.Join(s.dir, base))
		if err != nil {
			return err
		}
		r := rand.New(rand.NewPCG(uint64(b), 10))
		kdbg := max(bytes.Index(data, []byte("KDBG")), 0)
		for i := range mutations {
			from, n := 0, 0x400
			switch i % 4 {
			case 1:
				n = min(0x3000, len(data))
			case 2:
				from, n = kdbg, min(0x380, len(data)-kdbg)
			}
			m := bytes.Clone(data)
			mutate(r, m[from:from+n])
			if err := s.add(broken, fmt.Sprintf("mutant-%02d-%s", i, base), m); err != nil {
				return err
			}
		}
	}
	return nil
}

// mutate changes one aligned number.
func mutate(r *rand.Rand, b []byte) {
	at := r.IntN(len(b)/8) * 8
	size := []int{1, 2, 4, 8}[r.IntN(4)]
	number := b[at : at+8]
	if size < 8 {
		at := r.IntN(8/size) * size
		number = number[at : at+size]
	}
	var v [8]byte
	copy(v[:], number)
	was := binary.LittleEndian.Uint64(v[:])
	values := []uint64{0, 1, was + 1, was - 1, was ^ 1<<r.IntN(8*size), ^uint64(0), 1 << (8*size - 1), r.Uint64(), 0x45474150}
	binary.LittleEndian.PutUint64(v[:], values[r.IntN(len(values))])
	copy(number, v[:])
}
