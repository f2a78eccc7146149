package convert_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
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
				old, ranges := fileOf("old.dmp", full), fileOf("new.dmp", asRanges(t, full, typ))
				sameAsBefore(t, old, ranges)
				for _, to := range []string{"full", "bitmap"} {
					was, _, err := inMemory(t, old, convertTo(t, to))
					require.NoError(t, err)
					is, _, err := inMemory(t, ranges, convertTo(t, to))
					require.NoError(t, err)
					assertSameMemory(t, openBytes(t, was), openBytes(t, is))
					assert.Equal(t, worseThanInfo(checkBytes(was, inspect.CheckQuick)), worseThanInfo(checkBytes(is, inspect.CheckQuick)))
				}
			})
		}
	}
}

// sameAsBefore holds that all commands say the same of two dumps, but for the type.
func sameAsBefore(t *testing.T, old, ranges source.Input) {
	t.Helper()
	ctx := t.Context()
	was, is := checkInput(ctx, old, inspect.CheckOptions{}), checkInput(ctx, ranges, inspect.CheckOptions{})
	assert.Equal(t, append([]string{"WD261"}, worseThanInfo(was)...), worseThanInfo(is))
	assert.Equal(t, was.System, is.System)
	infoWas, err := inspect.Info(ctx, old, inspect.InfoOptions{Modules: true, Processes: true})
	require.NoError(t, err)
	infoIs, err := inspect.Info(ctx, ranges, inspect.InfoOptions{Modules: true, Processes: true})
	require.NoError(t, err)
	assert.Equal(t, infoWas.Memory, infoIs.Memory)
	assert.Equal(t, infoWas.Modules, infoIs.Modules)
	assert.Equal(t, infoWas.Processes, infoIs.Processes)
	assert.Equal(t, infoWas.CPUs, infoIs.CPUs)
	symbolsWas, err := inspect.Symbols(ctx, old, inspect.SymbolsOptions{})
	require.NoError(t, err)
	symbolsIs, err := inspect.Symbols(ctx, ranges, inspect.SymbolsOptions{})
	require.NoError(t, err)
	assert.Equal(t, symbolsWas.Modules, symbolsIs.Modules)
	vas := []uint64{uint64(is.System.KDBG), 0x1000}
	walkWas, err := inspect.Walk(ctx, old, vas, inspect.WalkOptions{Read: 64})
	require.NoError(t, err)
	walkIs, err := inspect.Walk(ctx, ranges, vas, inspect.WalkOptions{Read: 64})
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
	for _, name := range []string{"guest-bsod.win-dmp.gz", "x86-bsod-2cpu.win-dmp.gz"} {
		plain := gunzip(t, samplePath(name))
		header, at := int(shapeOf(t, plain).headerSize), attributesAt
		if header == 0x1000 {
			at = attributesAt32
		}
		bitmap, _, err := convertBytes(t, plain, convertTo(t, "bitmap"))
		require.NoError(t, err)
		ranges := asRanges(t, plain, 10)
		noise := testheap.Bytes(t, max(len(plain), len(bitmap), len(ranges)))
		_, _ = rand.NewChaCha8([32]byte{9}).Read(noise)
		room := testheap.Bytes(t, len(noise))
		encrypt := func(file []byte, from int, attributes uint32) []byte {
			encrypted := room[:copy(room, file)]
			binary.LittleEndian.PutUint32(encrypted[at:], attributes)
			copy(encrypted[from:], noise)
			return encrypted
		}
		for _, c := range []struct {
			what       string
			file       []byte
			from       int
			attributes uint32
		}{
			{"full", plain, header, 0x100},
			{"full, other bits", plain, header, 0x21900},
			{"bitmap plain", bitmap, header + 0x1000, 0x100},
			{"bitmap too", bitmap, header, 0x100},
			{"ranges too", ranges, header, 0x100},
		} {
			in := fileOf("encrypted.dmp", encrypt(c.file, c.from, c.attributes))
			f := checkInput(t.Context(), in, inspect.CheckOptions{})
			assert.Equal(t, "FAIL", f.Verdict, c.what)
			assert.Equal(t, []string{finding.EncryptedDump.ID()}, worseThanInfo(f), c.what)
			require.ErrorIs(t, f.Err, physmem.ErrUnsupported, c.what)
			r, err := inspect.Info(t.Context(), in, inspect.InfoOptions{})
			require.NoError(t, err, c.what)
			require.NotNil(t, r.System, c.what)
			assert.True(t, r.Bug.Crashed, c.what)
			_, _, err = inMemory(t, in, convert.Options{})
			require.ErrorIs(t, err, physmem.ErrUnsupported, c.what)
		}
		// The bit alone says nothing, nor does noise alone; a decrypted dump has both bits.
		for what, attributes := range map[string]uint32{"plain": 0x100, "never set": 0x45474150, "decrypted": 0x300} {
			f := checkBytes(encrypt(plain, len(plain), attributes), inspect.CheckQuick)
			assert.NotEqual(t, "FAIL", f.Verdict, what)
		}
		for _, attributes := range []uint32{0, 0x300, 0x45474150} {
			f := checkBytes(encrypt(plain, header, attributes), inspect.CheckQuick)
			assert.NotContains(t, worseThanInfo(f), finding.EncryptedDump.ID())
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
