package convert_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/internal/guestsim"
	"windmp/internal/testheap"
	"windmp/physmem"
)

// worseThanInfo are the IDs of what is worse than a note.
func worseThanInfo(c *inspect.FileCheck) (ids []string) {
	for _, f := range c.Findings {
		if f.Severity.Rank() > finding.SeverityInfo.Rank() {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// convertTo are the options for a type of dump.
func convertTo(t *testing.T, typ string) convert.Options {
	t.Helper()
	output, err := plan.ParseOutputType(typ)
	require.NoError(t, err)
	return convert.Options{Plan: plan.Options{Type: output}}
}

// asRanges writes a full dump as WinDbg writes types 8, 9 and 0xa: the header's own run
// table holds nothing, ranges of at most seven pages lie in the file from the last to
// the first.
func asRanges(t *testing.T, dmp []byte, typ uint32) []byte {
	t.Helper()
	le, shape := binary.LittleEndian, shapeOf(t, dmp)
	header, table, width := int(shape.headerSize), int(shape.runs), int(shape.runSize)/2
	number := func(at int) uint64 {
		if width == 4 {
			return uint64(le.Uint32(dmp[at:]))
		}
		return le.Uint64(dmp[at:])
	}
	runs := table + 2*width // behind the counts of runs and pages
	count := int(le.Uint32(dmp[table:]))
	type part struct{ page, count, at uint64 }
	var parts []part
	at := uint64(header)
	for i := range count {
		page, left := number(runs+2*i*width), number(runs+(2*i+1)*width)
		for left > 0 {
			n := min(left, 7)
			parts = append(parts, part{page, n, at})
			page, left, at = page+n, left-n, at+n*0x1000
		}
	}
	require.Equal(t, uint64(len(dmp)), at)
	head := bytes.Clone(dmp[:header])
	for i := table; i < runs+2*width*count; i++ {
		head[i] = "PAGE"[i%4]
	}
	le.PutUint32(head[shape.dumpType:], typ)
	list := make([]byte, 0x30)
	pages := testheap.Bytes(t, len(dmp))[:0]
	for i := len(parts) - 1; i >= 0; i-- {
		p := parts[i]
		list = le.AppendUint64(le.AppendUint64(list, p.page), p.count)
		pages = append(pages, dmp[p.at:p.at+p.count*0x1000]...)
	}
	list = append(list, make([]byte, 0x1000-len(list)%0x1000)...)
	copy(list, "\x40\x00\x00\x00RDMPDUMP")
	le.PutUint64(list[0x10:], uint64(len(list))-0x20)
	le.PutUint64(list[0x18:], uint64(header+len(list)))
	if typ == 10 {
		le.PutUint32(list[0x20:], uint32(len(parts)))
		le.PutUint64(list[0x28:], uint64(len(pages)/0x1000))
	}
	file := testheap.Bytes(t, len(head)+len(list)+len(pages))[:0]
	for _, b := range [][]byte{head, list, pages} {
		file = append(file, b...)
	}
	return file
}

// TestNewerTypes: dumps that newer WinDbg writes are looked at as others are, and become
// full and bitmap dumps with the same memory, x64 and x86.
func TestNewerTypes(t *testing.T) {
	t.Parallel()
	made, _, err := convertSim(t, guestsim.New(guestsim.Options{CPUs: 3, Build: 26100, Odd: true}), convert.Options{})
	require.NoError(t, err)
	for name, full := range map[string][]byte{
		"x64": made, "x64 crashed": gunzip(t, samplePath("bsod-4cpu-q35.win-dmp.gz")),
		"x86": gunzip(t, samplePath("x86-bsod-2cpu.win-dmp.gz")), "x86 without PAE": gunzip(t, samplePath("x86-nopae-live-2cpu.win-dmp.gz")),
	} {
		for _, typ := range []uint32{8, 9, 10} {
			if testing.Short() && len(name) > len("x64") && typ != 9 {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				old, path := filepath.Join(dir, "old.dmp"), filepath.Join(dir, "new.dmp")
				require.NoError(t, os.WriteFile(old, full, 0o600))
				require.NoError(t, os.WriteFile(path, asRanges(t, full, typ), 0o600))
				sameAsBefore(t, old, path)
				for _, to := range []string{"full", "bitmap"} {
					was, is := filepath.Join(dir, to+"-old.dmp"), filepath.Join(dir, to+"-new.dmp")
					_, err := convert.File(context.Background(), old, was, convertTo(t, to))
					require.NoError(t, err)
					_, err = convert.File(context.Background(), path, is, convertTo(t, to))
					require.NoError(t, err)
					assert.Equal(t, digest(t, was), digest(t, is))
					assert.Equal(t, worseThanInfo(checkOf(t, was, inspect.CheckOptions{})), worseThanInfo(checkOf(t, is, inspect.CheckOptions{})))
				}
			})
		}
	}
}

// sameAsBefore holds that all commands say the same of two dumps, but for the type.
func sameAsBefore(t *testing.T, old, path string) {
	t.Helper()
	was, is := checkOf(t, old, inspect.CheckOptions{}), checkOf(t, path, inspect.CheckOptions{})
	assert.Equal(t, append([]string{"WD261"}, worseThanInfo(was)...), worseThanInfo(is))
	assert.Equal(t, was.System, is.System)
	ctx := context.Background()
	infoWas, err := inspect.Info(ctx, source.File(old), inspect.InfoOptions{Modules: true, Processes: true})
	require.NoError(t, err)
	infoIs, err := inspect.Info(ctx, source.File(path), inspect.InfoOptions{Modules: true, Processes: true})
	require.NoError(t, err)
	assert.Equal(t, infoWas.Memory, infoIs.Memory)
	assert.Equal(t, infoWas.Modules, infoIs.Modules)
	assert.Equal(t, infoWas.Processes, infoIs.Processes)
	assert.Equal(t, infoWas.CPUs, infoIs.CPUs)
	symbolsWas, err := inspect.Symbols(ctx, source.File(old), inspect.SymbolsOptions{})
	require.NoError(t, err)
	symbolsIs, err := inspect.Symbols(ctx, source.File(path), inspect.SymbolsOptions{})
	require.NoError(t, err)
	assert.Equal(t, symbolsWas.Modules, symbolsIs.Modules)
	vas := []uint64{uint64(is.System.KDBG), 0x1000}
	walkWas, err := inspect.Walk(ctx, source.File(old), vas, inspect.WalkOptions{Read: 64})
	require.NoError(t, err)
	walkIs, err := inspect.Walk(ctx, source.File(path), vas, inspect.WalkOptions{Read: 64})
	require.NoError(t, err)
	for i := range walkIs.Walks {
		assert.Equal(t, walkWas.Walks[i].PA, walkIs.Walks[i].PA)
		assert.Equal(t, walkWas.Walks[i].Bytes, walkIs.Walks[i].Bytes)
	}
}

// attributesAt is where a 64-bit and a 32-bit header have Attributes.
const attributesAt, attributesAt32 = 0x1050, 0x8a0

// TestEncryptedDump: a dump is encrypted when its header says so and its pages are
// noise, of all types; the header is still shown.
func TestEncryptedDump(t *testing.T) {
	t.Parallel()
	noise := rand.NewChaCha8([32]byte{9})
	for _, name := range []string{"guest-bsod.win-dmp.gz", "x86-bsod-2cpu.win-dmp.gz"} {
		plain := gunzip(t, samplePath(name))
		header, at := int(shapeOf(t, plain).headerSize), attributesAt
		if header == 0x1000 {
			at = attributesAt32
		}
		check := func(file []byte) (*inspect.FileCheck, string) {
			path := filepath.Join(t.TempDir(), "encrypted.dmp")
			require.NoError(t, os.WriteFile(path, file, 0o600))
			return checkOf(t, path, inspect.CheckOptions{}), path
		}
		encrypt := func(file []byte, from int, attributes uint32) []byte {
			file = bytes.Clone(file)
			binary.LittleEndian.PutUint32(file[at:], attributes)
			_, _ = noise.Read(file[from:])
			return file
		}
		bitmap := filepath.Join(t.TempDir(), "bitmap.dmp")
		full := filepath.Join(t.TempDir(), "full.dmp")
		require.NoError(t, os.WriteFile(full, plain, 0o600))
		_, err := convert.File(context.Background(), full, bitmap, convertTo(t, "bitmap"))
		require.NoError(t, err)
		paged, err := os.ReadFile(bitmap)
		require.NoError(t, err)
		for what, file := range map[string][]byte{
			"full": encrypt(plain, header, 0x100), "full, other bits": encrypt(plain, header, 0x21900),
			"bitmap plain": encrypt(paged, header+0x1000, 0x100), "bitmap too": encrypt(paged, header, 0x100),
			"ranges too": encrypt(asRanges(t, plain, 10), header, 0x100),
		} {
			c, path := check(file)
			assert.Equal(t, "FAIL", c.Verdict, what)
			assert.Equal(t, []string{finding.EncryptedDump.ID()}, worseThanInfo(c), what)
			require.ErrorIs(t, c.Err, physmem.ErrUnsupported, what)
			r, err := inspect.Info(context.Background(), source.File(path), inspect.InfoOptions{})
			require.NoError(t, err, what)
			require.NotNil(t, r.System, what)
			assert.True(t, r.Bug.Crashed, what)
			_, err = convert.File(context.Background(), path, path+".out", convert.Options{})
			require.ErrorIs(t, err, physmem.ErrUnsupported, what)
		}
		// The bit alone says nothing, nor does noise alone; a decrypted dump has both bits.
		for what, attributes := range map[string]uint32{"plain": 0x100, "never set": 0x45474150, "decrypted": 0x300} {
			file := testheap.Clone(t, plain)
			binary.LittleEndian.PutUint32(file[at:], attributes)
			c, _ := check(file)
			assert.NotEqual(t, "FAIL", c.Verdict, what)
		}
		for _, attributes := range []uint32{0, 0x300, 0x45474150} {
			c, _ := check(encrypt(plain, header, attributes))
			assert.NotContains(t, worseThanInfo(c), finding.EncryptedDump.ID())
		}
	}
}

// TestOutOfRoom: a dump for which Windows had no room is told by its header.
func TestOutOfRoom(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]int{"guest-bsod.win-dmp.gz": attributesAt, "x86-bsod-2cpu.win-dmp.gz": attributesAt32} {
		for attributes, want := range map[uint32]bool{0: false, 4: true, 0x21804: true, 0x45474150: false, 0x20: false} {
			file := testheap.Clone(t, gunzip(t, samplePath(name)))
			binary.LittleEndian.PutUint32(file[at:], attributes)
			assert.Equal(t, want, slices.Contains(worseThanInfo(checkBytes(file, inspect.CheckQuick)), finding.OutOfRoom.ID()), "%#x", attributes)
			_, r, err := convertBytes(t, file, convert.Options{})
			require.NoError(t, err)
			assert.Equal(t, want, slices.Contains(ids(r), finding.OutOfRoom.ID()), "convert judges its output by the same rule")
		}
	}
}
