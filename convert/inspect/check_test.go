package inspect

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/convert/write"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

// smallDump is a synthetic guest's dump.
func smallDump(tb testing.TB) []byte {
	tb.Helper()
	b := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: [5]uint64{0x7e, 1, 2, 3, 4}}).ELF()
	im, err := physmemtest.Open(b)
	require.NoError(tb, err)
	g, err := guest.Find(context.Background(), im, guest.Options{})
	require.NoError(tb, err)
	p, err := plan.New(tb.Context(), g, plan.Options{})
	require.NoError(tb, err)
	var out bytes.Buffer
	require.NoError(tb, write.Stream(context.Background(), &out, write.Output{Layout: p.Layout(), Memory: p.Memory()}, write.Options{}))
	return out.Bytes()
}

// checkBytes checks a file in memory.
func checkBytes(b []byte, level CheckLevel) *FileCheck {
	r, err := Check(context.Background(), CheckOptions{Level: level}, source.Reader("", bytes.NewReader(b), int64(len(b))))
	if err != nil {
		panic(err) // a mistake of the test
	}
	return &r.Files[0]
}

// FuzzCheck overwrites two qwords of a good dump, or cuts it: there is a
// verdict, with a reason unless it is OK, and no finding without a sentence.
func FuzzCheck(f *testing.F) {
	good := smallDump(f)
	f.Add(uint32(0), uint64(0), uint32(8), uint64(0), uint32(0))
	f.Add(uint32(0x10), uint64(0x1000), uint32(0x80), uint64(1<<63), uint32(1))
	f.Add(uint32(0xf98), uint64(5), uint32(0x2000), uint64(0x504d5544504d4446), uint32(0))
	f.Add(uint32(0x88), uint64(42), uint32(0x98), uint64(1<<52), uint32(0x1001))
	f.Fuzz(func(t *testing.T, at1 uint32, v1 uint64, at2 uint32, v2 uint64, cut uint32) {
		b := bytes.Clone(good)
		for _, p := range []struct {
			at uint32
			v  uint64
		}{{at1, v1}, {at2, v2}} {
			if n := uint32(len(b)) - 8; p.at <= n {
				binary.LittleEndian.PutUint64(b[p.at:], p.v)
			}
		}
		b = b[:len(b)-int(min(cut, uint32(len(b))))]
		for _, level := range []CheckLevel{CheckHeader, CheckQuick, CheckFull} {
			r := checkBytes(b, level)
			require.Contains(t, []string{"OK", "WARN", "UNKNOWN", "FAIL"}, r.Verdict)
			assert.Equal(t, r.Verdict == "OK", r.Reason == "", r.Verdict)
			assert.False(t, slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return f.Message == "" || f.ID == "" }))
			assert.Less(t, len(r.Findings), 200)
		}
	})
}

// TestNothingLookedAt: of what can't be looked at nothing is said, and why not.
func TestNothingLookedAt(t *testing.T) {
	t.Parallel()
	r, err := Check(t.Context(), CheckOptions{}, source.File(t.TempDir()))
	require.NoError(t, err)
	f := &r.Files[0]
	assert.Equal(t, "UNKNOWN", f.Verdict)
	assert.Empty(t, f.Findings)
	assert.Equal(t, "the file is a folder, not a file", f.Reason)
	assert.Equal(t, "Name a file in it.", f.Error.Hint)
	require.ErrorIs(t, f.Err, physmem.ErrUnsupported)
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"ntkrnlmp.pdb": "ntkrnlmp.pdb", `d:\os\obj\a.pdb`: "a.pdb", "/x/y.sys": "y.sys", "a b.sys": "a b.sys",
	}
	for in, want := range good {
		got, ok := fileName(in)
		assert.True(t, ok, in)
		assert.Equal(t, want, got)
	}
	for _, in := range []string{"", "..", ".", "/", `c:\..`, "a,b", "a\x1b[31m", "a\nb", "ä.sys", "a?b", "a:b"} {
		_, ok := fileName(in)
		assert.False(t, ok, "%q", in)
	}
}

func TestKeyURL(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "https://x/s/a%20b.pdb/1/a%20b.pdb", keyURL("https://x/s/", "a b.pdb/1/a b.pdb"))
	assert.Empty(t, keyURL("https://x", ""))
}
