package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
)

// allowed is a stretch of the dump in which windmp may differ from QEMU's
// win-dmp of the same stopped guest, by name, file offset and length.
type allowed struct {
	name         string
	offset, size int64
}

// lacking are the eight fields of a CONTEXT that QEMU's notes do not carry.
var lacking = []allowed{
	{"MxCsr", 0x34, 4},
	{"Dr0", 0x48, 8},
	{"Dr1", 0x50, 8},
	{"Dr2", 0x58, 8},
	{"Dr3", 0x60, 8},
	{"Dr6", 0x68, 8},
	{"Dr7", 0x70, 8},
	{"FltSave.MxCsr", 0x118, 4},
}

// improved are the header fields that windmp states better than the guest's
// driver, and so QEMU, does.
var improved = []allowed{
	{"ContextRecord", 0x348, 0x4d0},
	{"Exception", 0xf00, 0x98},
	{"SystemTime", 0xfa8, 8},
	{"SystemUpTime", 0x1030, 8},
}

// improvedIn are header fields that differ in some variants only.
var improvedIn = map[string]allowed{
	"pcid": {"DirectoryTableBase", 0x10, 8},
	// The words of this sample are "live shadow user pcid".
	"shadow-user": {"DirectoryTableBase", 0x10, 8},
	"ncpu":        {"NumberProcessors", 0x34, 4},
	"nobug":       {"BugCheckCode and BugCheckParameters", 0x38, 40},
}

// specials are the parts of KSPECIAL_REGISTERS that windmp sets, by the words
// in the reason of the edit.
var specials = map[string]int{"CR0, CR2, CR3, CR4": 0x20, "GDTR": 10, "IDTR": 10, "TR": 2}

// fileOffset is where guest-physical memory lies in a full dump, by the run
// table in its header: read here once more, by hand.
func fileOffset(t *testing.T, dmp []byte, pa uint64) int64 {
	t.Helper()
	off := int64(0x2000)
	n := binary.LittleEndian.Uint32(dmp[0x88:])
	for i := range n {
		base := binary.LittleEndian.Uint64(dmp[0x98+16*i:]) << 12
		size := binary.LittleEndian.Uint64(dmp[0xa0+16*i:]) << 12
		if pa >= base && pa-base < size {
			return off + int64(pa-base)
		}
		off += int64(size)
	}
	require.Failf(t, "address outside the dump", "PA %#x", pa)
	return 0
}

// differences lists what may differ, from the edits of the report: a CONTEXT
// in its eight fields, the special registers whole.
func differences(t *testing.T, dmp []byte, r *convert.Report, variant string) []allowed {
	t.Helper()
	list := slices.Clone(improved)
	for v, a := range improvedIn {
		if strings.Contains(variant, v) {
			list = append(list, a)
		}
	}
	done := make(map[string]int) // bytes of each CONTEXT so far: it may come in pieces
	swapped := strings.Contains(variant, "swapcpu")
	for _, e := range r.Edits {
		at := fileOffset(t, dmp, uint64(e.PA))
		if strings.Contains(e.Reason, "CONTEXT") {
			if swapped { // QEMU writes by position, see assertSwapped
				list = append(list, allowed{e.Reason, at, int64(e.Size)})
			}
			for _, f := range lacking {
				if from := f.offset - int64(done[e.Reason]); from >= 0 && from < int64(e.Size) {
					list = append(list, allowed{e.Reason + " " + f.name, at + from, f.size})
				}
			}
			done[e.Reason] += e.Size
			continue
		}
		_, name, _ := strings.Cut(e.Reason, ": ")
		require.Contains(t, specials, name, "an edit that the witness does not know: %s", e.Reason)
		require.LessOrEqual(t, e.Size, specials[name])
		list = append(list, allowed{e.Reason, at, int64(e.Size)})
	}
	for reason, n := range done {
		require.Equal(t, 0x4d0, n, "%s is written whole", reason)
	}
	return list
}

// equalButFor asserts that got is want everywhere but in the allowed places.
func equalButFor(t *testing.T, want, got []byte, list []allowed) {
	t.Helper()
	require.Len(t, got, len(want), "size of the dump")
	w, g := bytes.Clone(want), bytes.Clone(got)
	for _, a := range list {
		clear(w[a.offset : a.offset+a.size])
		clear(g[a.offset : a.offset+a.size])
	}
	if bytes.Equal(w, g) {
		return
	}
	shown := 0
	for i := 0; i < len(w) && shown < 20; i++ {
		if w[i] != g[i] {
			assert.Failf(t, "differs", "file offset %#x: QEMU has %#02x, windmp %#02x", i, w[i], g[i])
			shown++
		}
	}
}

// unpack puts a gzipped sample into a file of the test's folder.
func unpack(t *testing.T, path string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(path), ".gz"))
	require.NoError(t, os.WriteFile(out, gunzip(t, path), 0o400))
	return out
}

func gunzip(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	var b bytes.Buffer
	_, err = b.ReadFrom(z)
	require.NoError(t, err)
	return b.Bytes()
}

// witness converts core as QEMU does and compares with QEMU's own dump.
func witness(t *testing.T, core string, want []byte, variant string) *convert.Report {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.dmp")
	report, err := convert.File(context.Background(), core, out, nil, convert.Options{Contexts: convert.ContextsVCPU})
	require.NoError(t, err)
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	equalButFor(t, want, got, differences(t, got, report, variant))
	if strings.Contains(variant, "swapcpu") {
		assertSwapped(t, want, got, report)
	}
	return report
}

// assertSwapped: where Windows' processors are in another order than QEMU's,
// QEMU gives processor i the registers of vCPU i, whichever it is. windmp's
// CONTEXT of a processor is the one that QEMU put where its vCPU's number says.
func assertSwapped(t *testing.T, want, got []byte, r *convert.Report) {
	t.Helper()
	contexts := func(dmp []byte) [][]byte {
		list := make([][]byte, len(r.Processors))
		for _, e := range r.Edits {
			var i int
			if _, err := fmt.Sscanf(e.Reason, "processor %d: CONTEXT", &i); err == nil {
				at := fileOffset(t, dmp, uint64(e.PA))
				list[i] = append(list[i], dmp[at:at+int64(e.Size)]...)
			}
		}
		for _, c := range list {
			for _, f := range lacking {
				clear(c[f.offset : f.offset+f.size])
			}
		}
		return list
	}
	qemu, ours := contexts(want), contexts(got)
	moved := false
	for i, c := range ours {
		assert.Equal(t, qemu[r.Processors[i].VCPU], c, "processor %d", i)
		moved = moved || r.Processors[i].VCPU != i
	}
	assert.True(t, moved)
}

// samples are the committed vmcores of real QEMU, each with the win-dmp that the
// same QEMU made of the same stopped guest.
var samples = []struct{ core, win string }{
	{"guest-bsod.vmcore", "guest-bsod"},
	{"live-2cpu.vmcore.gz", "live-2cpu"},
	{"live-2cpu-paging.vmcore.gz", "live-2cpu"},
	{"live-2cpu-filtered.vmcore.gz", "live-2cpu"},
	{"bsod-4cpu-q35.vmcore.gz", "bsod-4cpu-q35"},
	{"encoded-2cpu.vmcore.gz", "encoded-2cpu"},
	{"swbits-2cpu-vga-paging.vmcore.gz", "swbits-2cpu-vga"},
	{"shadow-user-2cpu.vmcore.gz", "shadow-user-2cpu"},
	{"shadow-user-2cpu-paging.vmcore.gz", "shadow-user-2cpu"},
	{"odd-runs-2cpu.vmcore.gz", "odd-runs-2cpu"},
	{"swapcpu-3cpu.vmcore.gz", "swapcpu-3cpu"},
	{"la57-1cpu.vmcore.gz", "la57-1cpu"},
}

func samplePath(name string) string { return filepath.Join("..", "testdata", name) }

// sample is the path of an uncompressed vmcore.
func sample(t *testing.T, name string) string {
	t.Helper()
	if strings.HasSuffix(name, ".gz") {
		return unpack(t, samplePath(name))
	}
	return samplePath(name)
}

func TestSamples(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		t.Run(s.core, func(t *testing.T) {
			t.Parallel()
			witness(t, sample(t, s.core), gunzip(t, samplePath(s.win+".win-dmp.gz")), s.core)
		})
	}
}

// TestSampleCut: of the guest that was dumped in part, the pages that the file
// holds are those of QEMU's dump.
func TestSampleCut(t *testing.T) {
	t.Parallel()
	core := sample(t, "live-2cpu-cut.vmcore.gz")
	want := gunzip(t, samplePath("live-2cpu.win-dmp.gz"))
	_, err := convert.File(context.Background(), core, filepath.Join(t.TempDir(), "x"), nil, convert.Options{})
	var refused *convert.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, convert.IDMissing, refused.Finding.ID)

	out := filepath.Join(t.TempDir(), "out.dmp")
	opt := convert.Options{Contexts: convert.ContextsVCPU, Missing: convert.MissingZero}
	r, err := convert.File(context.Background(), core, out, nil, opt)
	require.NoError(t, err)
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	list := differences(t, got, r, "")
	for _, m := range r.Memory.Ranges {
		list = append(list, allowed{"missing", fileOffset(t, got, uint64(m.PA)), int64(m.Size)})
	}
	equalButFor(t, want, got, list)

	dropped := filepath.Join(t.TempDir(), "dropped.dmp")
	opt.Missing = convert.MissingDrop
	r, err = convert.File(context.Background(), core, dropped, nil, opt)
	require.NoError(t, err)
	assert.Equal(t, r.Memory.Listed-r.Memory.Dropped, r.Output.Pages*0x1000)
}
