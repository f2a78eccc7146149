package convert_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/qemutest"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/open"
)

// needMakedumpfile skips a test that wants makedumpfile's view of a file.
func needMakedumpfile(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("makedumpfile"); err != nil {
		t.Skip("NOT TESTED: makedumpfile is not installed (scripts/deps)")
	}
}

// makedumpfile runs it; from is its standard input if it is not empty.
func makedumpfile(t *testing.T, from string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "makedumpfile", args...)
	if from != "" {
		f, err := os.Open(from)
		require.NoError(t, err)
		defer func() { _ = f.Close() }()
		cmd.Stdin = f
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "makedumpfile %v: %s", args, out)
}

// converted returns the dump that a file becomes.
func converted(t *testing.T, in string) []byte {
	t.Helper()
	dmp, _ := convertFile(t, in)
	return dmp
}

// TestKdumpWitness: the same stopped guest, dumped by QEMU as ELF and as
// kdump-zlib, which is flattened, and the latter rearranged by makedumpfile,
// becomes the same dump.
func TestKdumpWitness(t *testing.T) {
	qemutest.Require(t)
	for name, c := range map[string]qemutest.Config{
		"pc":              {CPUs: 2, Variant: []string{"live"}},
		"q35 above 4 GiB": {Machine: "q35", CPUs: 3, Memory: "8M", MaxRAMBelow4G: "4M", Variant: []string{"bsod", "encoded", "odd"}},
		"vga":             {CPUs: 1, VGA: true, Variant: []string{"swbits"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := qemutest.Start(t, c)
			dir := t.TempDir()
			core, kdump := filepath.Join(dir, "guest.vmcore"), filepath.Join(dir, "guest.kdump")
			require.NoError(t, vm.DumpELF(core, qemutest.ELFOptions{}))
			require.NoError(t, vm.DumpKdump(kdump))
			want := converted(t, core)
			assert.True(t, bytes.Equal(want, converted(t, kdump)), "kdump-zlib of QEMU")
			sameMemory(t, core, kdump)

			needMakedumpfile(t)
			rearranged := filepath.Join(dir, "rearranged.kdump")
			makedumpfile(t, kdump, "-R", rearranged)
			assert.True(t, bytes.Equal(want, converted(t, rearranged)), "rearranged by makedumpfile")
		})
	}
}

// TestKdumpWithoutNote: a guest that left no header note is found in a
// kdump-compressed dump as it is in the ELF core of the same stopped machine. The
// comment, which names the source, is all that differs.
func TestKdumpWithoutNote(t *testing.T) {
	qemutest.Require(t)
	for _, variant := range []string{"live", "bsod encoded odd", "shadow user", "build=9600 encoded", "build=26100"} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			vm := qemutest.Start(t, qemutest.Config{CPUs: 2, Variant: append(strings.Fields(variant), "nonote")})
			dir := t.TempDir()
			core, kdump := filepath.Join(dir, "guest.vmcore"), filepath.Join(dir, "guest.kdump")
			require.NoError(t, vm.DumpELF(core, qemutest.ELFOptions{}))
			require.NoError(t, vm.DumpKdump(kdump))
			equalButFor(t, converted(t, core), converted(t, kdump), []allowed{{"Comment", 0xfb0, 128}})
		})
	}
}

// makedumpfileOptions are the ways of packing pages that the makedumpfile at hand
// was built for: Debian's knows neither snappy nor zstd.
func makedumpfileOptions(t *testing.T) map[string]string {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), "makedumpfile", "-v").CombinedOutput()
	require.NoError(t, err)
	options := map[string]string{"zlib": "-c", "raw": ""}
	for name, option := range map[string]string{"lzo": "-l", "snappy": "-p", "zstd": "-z"} {
		if bytes.Contains(version, []byte(name+"\tenabled")) {
			options[name] = option
		} else {
			t.Logf("NOT TESTED: makedumpfile was built without %s", name)
		}
	}
	return options
}

// readWithLibkdumpfile returns the memory of ranges, one after the other, as
// libkdumpfile reads them.
func readWithLibkdumpfile(t *testing.T, file string, ranges []physmem.Range) []byte {
	t.Helper()
	reader := filepath.Join(t.TempDir(), "kdumpread")
	if out, err := exec.CommandContext(t.Context(), "cc", "-O2", "-o", reader, filepath.Join("..", "testdata", "kdumpread.c"), "-lkdumpfile").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: libkdumpfile can't be compiled against (scripts/deps): %s", out)
	}
	args := []string{file}
	for _, r := range ranges {
		args = append(args, hexText(r.Start), hexText(r.Size))
	}
	var complaint bytes.Buffer
	cmd := exec.CommandContext(t.Context(), reader, args...)
	cmd.Stderr = &complaint
	memory, err := cmd.Output()
	require.NoError(t, err, "%s", &complaint)
	return memory
}

func hexText(v uint64) string { return fmt.Sprintf("%#x", v) }

// TestLibkdumpfile: libkdumpfile reads the same memory from QEMU's kdump-zlib of a
// guest and from what makedumpfile makes of its core as windmp does.
func TestLibkdumpfile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	needMakedumpfile(t)
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.vmcore")
	require.NoError(t, os.WriteFile(plain, withoutGuestNote(qemutest.Samples()[1].Core(t)), 0o600))
	files := map[string]string{"QEMU": filepath.Join(dir, "rearranged"), "QEMU of Arm": filepath.Join(dir, "arm64")}
	makedumpfile(t, unpack(t, samplePath("live-2cpu.kdump.gz")), "-R", files["QEMU"])
	makedumpfile(t, unpack(t, samplePath("arm64-live-2cpu.kdump.gz")), "-R", files["QEMU of Arm"])
	for name, option := range makedumpfileOptions(t) {
		args := []string{"-d", "0", plain, filepath.Join(dir, name)}
		if option != "" {
			args = append([]string{option}, args...)
		}
		makedumpfile(t, "", args...)
		files[name] = filepath.Join(dir, name)
	}
	for name, file := range files {
		im, err := open.File(t.Context(), file, open.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { _ = im.Close() })
		var ours bytes.Buffer
		for _, r := range im.Ranges() {
			_, err := io.Copy(&ours, io.NewSectionReader(im, int64(r.Start), int64(r.Size)))
			require.NoError(t, err)
		}
		theirs := readWithLibkdumpfile(t, file, im.Ranges())
		assert.NotEmpty(t, theirs)
		assert.True(t, bytes.Equal(ours.Bytes(), theirs), "%s: %d and %d bytes", name, ours.Len(), len(theirs))
	}
}

// TestMakedumpfile: makedumpfile compresses the memory of a core, in the ways
// that it was built for, and it is the same memory and the same registers.
func TestMakedumpfile(t *testing.T) {
	t.Parallel()
	needMakedumpfile(t)
	dir := t.TempDir()
	core, plain := filepath.Join(dir, "guest.vmcore"), filepath.Join(dir, "plain.vmcore")
	file := qemutest.Samples()[1].Core(t)
	require.NoError(t, os.WriteFile(core, file, 0o600))
	require.NoError(t, os.WriteFile(plain, withoutGuestNote(file), 0o600))
	for name, option := range makedumpfileOptions(t) {
		for _, flat := range []bool{false, true} {
			args := []string{"-d", "0", plain}
			if option != "" {
				args = append([]string{option}, args...)
			}
			out := filepath.Join(dir, name)
			if flat {
				// It writes to its standard output.
				out += ".flat"
				f, err := os.Create(out)
				require.NoError(t, err)
				cmd := exec.CommandContext(t.Context(), "makedumpfile", append([]string{"-F"}, args...)...)
				cmd.Stdout = f
				require.NoError(t, cmd.Run(), name)
				require.NoError(t, f.Close())
			} else {
				makedumpfile(t, "", append(args, out)...)
			}
			m := sameMemory(t, core, out)
			assert.Len(t, m.CPUs(), 2, name)
		}
	}

	one, two, whole := filepath.Join(dir, "part1"), filepath.Join(dir, "part2"), filepath.Join(dir, "whole")
	makedumpfile(t, "", "--split", "-l", "-d", "0", plain, one, two)
	for _, part := range []string{one, two} {
		_, err := open.File(t.Context(), part, open.Options{})
		require.ErrorIs(t, err, physmem.ErrUnsupported)
		require.ErrorContains(t, err, "makedumpfile --reassemble")
	}
	makedumpfile(t, "", "--reassemble", one, two, whole)
	sameMemory(t, core, whole)
}

// sameMemory compares two images, memory and processors, and returns the second.
func sameMemory(t *testing.T, core, other string) *physmem.Image {
	t.Helper()
	a, err := open.File(t.Context(), core, open.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close() })
	b, err := open.File(t.Context(), other, open.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	require.Equal(t, physmem.FormatKdump, b.Format())
	assert.Empty(t, b.Oddities())
	assertSameMemory(t, a, b)
	cpus := b.CPUs()
	for i, c := range a.CPUs() {
		cpus[i].NoteOffset = c.NoteOffset
		assert.Equal(t, c, cpus[i])
	}
	return b
}

// assertSameMemory asserts that two images have the same memory, at the same addresses.
func assertSameMemory(t *testing.T, a, b *physmem.Image) {
	t.Helper()
	require.Equal(t, a.Ranges(), b.Ranges())
	const most = 256 << 10
	p, q := testheap.Bytes(t, most), testheap.Bytes(t, most)
	for _, r := range a.Ranges() {
		for at := r.Start; at < r.End(); at += most {
			p, q := p[:min(most, r.End()-at)], q[:min(most, r.End()-at)]
			_, err := a.ReadAt(p, int64(at))
			require.NoError(t, err)
			_, err = b.ReadAt(q, int64(at))
			require.NoError(t, err)
			require.True(t, bytes.Equal(p, q), "%v, from %#x", r, at)
		}
	}
}

// withoutGuestNote writes QEMU's core as makedumpfile reads one when it is not
// Linux': without the VMCOREINFO note, which must be Linux', and with virtual
// addresses.
func withoutGuestNote(file []byte) []byte {
	le := binary.LittleEndian
	const (
		header, phdr = 0x40, 56
		linear       = 0xffff888000000000 // Linux' direct mapping
		page         = 0x1000
	)
	var notes, memory []byte
	phdrs := make([]byte, phdr)
	le.PutUint32(phdrs, 4) // PT_NOTE
	for i := range int(le.Uint16(file[0x38:])) {
		p := file[int(le.Uint64(file[0x20:]))+phdr*i:][:phdr]
		off, pa, size := le.Uint64(p[8:]), le.Uint64(p[0x18:]), le.Uint64(p[0x20:])
		if le.Uint32(p) == 4 {
			notes = file[off:][:bytes.Index(file[off:], []byte("VMCOREINFO"))-12]
			continue
		}
		p = bytes.Clone(p)
		le.PutUint64(p[8:], uint64(4*page+len(memory)))
		le.PutUint64(p[0x10:], linear+pa)
		phdrs = append(phdrs, p...)
		memory = append(memory, file[off:][:size]...)
	}
	le.PutUint64(phdrs[8:], page)
	le.PutUint64(phdrs[0x20:], uint64(len(notes)))
	le.PutUint64(phdrs[0x28:], uint64(len(notes)))
	out := bytes.Clone(file[:header])
	le.PutUint64(out[0x20:], header)
	le.PutUint64(out[0x28:], 0)                       // e_shoff
	copy(out[0x34:], []byte{header, 0})               // e_ehsize
	le.PutUint16(out[0x38:], uint16(len(phdrs)/phdr)) // e_phnum
	clear(out[0x3c:header])                           // no section headers
	out = append(out, phdrs...)
	out = append(append(out, make([]byte, page-len(out))...), notes...)
	out = append(out, make([]byte, 4*page-len(out))...)
	return append(out, memory...)
}
