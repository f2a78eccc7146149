package convert_test

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/inspect"
	"windmp/convert/source"
	"windmp/internal/guestsim"
)

// giant is the memory of the files of this test.
const giant = 64 << 30

// growRun makes the last run of a header size bytes long, and returns its old size
// in bytes.
func growRun(header []byte, size uint64) uint64 {
	le := binary.LittleEndian
	at := 0x98 + 16*(le.Uint32(header[0x88:])-1)
	old := le.Uint64(header[at+8:])
	le.PutUint64(header[at+8:], size>>12)
	pages := le.Uint64(header[0x90:]) - old + size>>12
	le.PutUint64(header[0x90:], pages)
	le.PutUint64(header[0xfa0:], 0x2000+pages<<12)
	return old << 12
}

// grown are the guest's runs, the last of them size bytes long.
func grown(g *guestsim.Guest, size uint64) []guestsim.Range {
	runs := slices.Clone(g.Runs())
	runs[len(runs)-1].Size = size
	return runs
}

// sparse writes b, and makes the file size bytes long.
func sparse(tb testing.TB, name string, b []byte, size int64) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	require.NoError(tb, os.WriteFile(path, b, 0o600))
	require.NoError(tb, os.Truncate(path, size))
	return path
}

// giantFiles are a sparse vmcore and a sparse dump of 64 GiB.
func giantFiles(tb testing.TB) (core, dmp string) {
	tb.Helper()
	g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash})
	g.SetKernelRuns(grown(g, giant))
	var out bytes.Buffer
	path := filepath.Join(tb.TempDir(), "small.vmcore")
	require.NoError(tb, os.WriteFile(path, g.ELF(), 0o600))
	_, err := convert.Stream(context.Background(), source.Named(path), &out, convert.Options{})
	require.NoError(tb, err)
	b := out.Bytes()
	old := growRun(b, giant)
	dmp = sparse(tb, "giant.dmp", b, int64(len(b))-int64(old)+giant)

	b = g.ELF()
	f, err := elf.NewFile(bytes.NewReader(b))
	require.NoError(tb, err)
	note := bytes.Index(b, []byte("PAGEDU64"))
	require.Positive(tb, note)
	growRun(b[note:], giant)
	last := len(f.Progs) - 1
	at := binary.LittleEndian.Uint64(b[0x20:]) + 56*uint64(last)
	binary.LittleEndian.PutUint64(b[at+32:], giant)
	binary.LittleEndian.PutUint64(b[at+40:], giant)
	core = sparse(tb, "giant.vmcore", b, int64(f.Progs[last].Off)+giant)
	return core, dmp
}

// TestGiantFiles: check and info of 64 GiB take less than 64 MiB. (How long they take
// is for the benchmarks.)
func TestGiantFiles(t *testing.T) { //nolint:paralleltest // it measures memory
	core, dmp := giantFiles(t)
	for _, path := range []string{core, dmp} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		f := checkFile(context.Background(), path, inspect.CheckOptions{})
		assert.Equal(t, "OK", f.Verdict, f.Reason)
		r, err := inspect.Info(context.Background(), source.File(path), inspect.InfoOptions{Modules: true, Processes: true})
		require.NoError(t, err)
		assert.Greater(t, r.Memory.Held, uint64(giant))
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
	}
}

func BenchmarkCheckGiant(b *testing.B) {
	core, dmp := giantFiles(b)
	for name, path := range map[string]string{"core": core, "dump": dmp} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if f := checkFile(context.Background(), path, inspect.CheckOptions{}); f.Verdict != "OK" {
					b.Fatal(f.Reason)
				}
			}
		})
	}
}

func BenchmarkInfoGiant(b *testing.B) {
	core, dmp := giantFiles(b)
	for name, path := range map[string]string{"core": core, "dump": dmp} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := inspect.Info(context.Background(), source.File(path), inspect.InfoOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
