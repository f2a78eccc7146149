package convert_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/internal/guestsim"
	"windmp/physmem"
)

// TestDumpWithoutWay: the header of a dump leads to no kernel, as that of a program
// that left fields unset. The dump's memory tells what they are.
func TestDumpWithoutWay(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	for name, poke := range map[string]func(h []byte){
		"page tables of nothing": func(h []byte) { le.PutUint64(h[0x10:], 0x1000) },
		"no page tables":         func(h []byte) { le.PutUint64(h[0x10:], 0) },
		"no KDBG":                func(h []byte) { le.PutUint64(h[0x80:], 0) },
		"nothing was set": func(h []byte) {
			for _, at := range []int{0x10, 0x20, 0x28, 0x80} {
				copy(h[at:], "PAGEPAGE")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			encoded := name == "nothing was set"
			g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash, Encoded: encoded})
			want, _, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			in := filepath.Join(t.TempDir(), "lost.dmp")
			lost := append([]byte(nil), want...)
			poke(lost)
			require.NoError(t, os.WriteFile(in, lost, 0o600))
			out := filepath.Join(t.TempDir(), "out.dmp")
			r, err := convert.File(context.Background(), in, out, convert.Options{})
			require.NoError(t, err)
			assert.Equal(t, "WARN", r.Verdict)
			assert.Contains(t, findingOf(r, finding.HeaderRepaired.ID()).Message, "leads to no kernel, which was found in its memory")
			got, err := os.ReadFile(out)
			require.NoError(t, err)
			assert.Equal(t, want[0x10:0x30], got[0x10:0x30], "page tables and lists")
			assert.Equal(t, !encoded, bytes.Equal(want[0x2000:], got[0x2000:]), "the memory is as it was, but for KDBG decoded where it lies")
			checked := checkOf(t, out, inspect.CheckOptions{})
			assert.Equal(t, "OK", checked.Verdict)
			again, err := os.ReadFile(in)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(lost, again), "the source is never changed")
		})
	}
}

// TestCutPacked: that a packed file is cut is said like of any other, by every command.
func TestCutPacked(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(guestsim.New(guestsim.Options{}).ELF())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, n := range []int{5, 20, packed.Len() / 2, packed.Len() - 1} {
		path := filepath.Join(t.TempDir(), "core.gz")
		require.NoError(t, os.WriteFile(path, packed.Bytes()[:n], 0o600))
		_, err := convert.File(context.Background(), path, path+".dmp", convert.Options{})
		var format *physmem.FormatError
		require.ErrorAs(t, err, &format)
		assert.Contains(t, err.Error(), "the file is cut: it ends after ")
		c := checkOf(t, path, inspect.CheckOptions{})
		assert.Equal(t, "FAIL", c.Verdict)
		require.NotEmpty(t, c.Findings)
		assert.Contains(t, c.Findings[0].Message, "the file is cut")
	}
}
