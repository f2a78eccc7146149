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
	"pcid":  {"DirectoryTableBase", 0x10, 8},
	"ncpu":  {"NumberProcessors", 0x34, 4},
	"nobug": {"BugCheckCode and BugCheckParameters", 0x38, 40},
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
	for _, e := range r.Edits {
		at := fileOffset(t, dmp, uint64(e.PA))
		if strings.Contains(e.Reason, "CONTEXT") {
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
	return report
}

// TestSamples holds the committed dumps of one stopped guest, made by real
// QEMU as ELF and as win-dmp, against each other.
func TestSamples(t *testing.T) {
	t.Parallel()
	cores, err := filepath.Glob("../testdata/*.vmcore.gz")
	require.NoError(t, err)
	require.NotEmpty(t, cores)
	pairs := 0
	for _, core := range cores {
		dmp := strings.TrimSuffix(core, ".vmcore.gz") + ".win-dmp.gz"
		if _, err := os.Stat(dmp); err != nil {
			continue
		}
		pairs++
		t.Run(filepath.Base(core), func(t *testing.T) {
			t.Parallel()
			witness(t, unpack(t, core), gunzip(t, dmp), filepath.Base(core))
		})
	}
	require.NotZero(t, pairs, fmt.Sprintf("no pair among %d cores", len(cores)))
}
