package open_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/extents"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// twoFiles is a format in two files, as several virtual machines save their guests:
// NAME.state has a table of regions {address, size, offset in NAME.mem}, NAME.mem
// the memory. It is made of exported pieces alone.
var twoFiles = physmem.Opener{Format: "two-files", Open: openTwoFiles}

const stateMagic = "STATEv1\x00"

func openTwoFiles(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	head := make([]byte, min(src.Size(), 0x1000))
	if _, err := src.ReadAt(head, 0); err != nil {
		return nil, &physmem.ReadError{Err: err}
	}
	table, ok := bytes.CutPrefix(head, []byte(stateMagic))
	if !ok {
		return nil, physmem.NotMine("no %q at its start", stateMagic)
	}
	mem, err := src.OpenSibling(strings.TrimSuffix(src.Name(), ".state") + ".mem")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &physmem.UnsupportedError{What: "a state without its memory", Hint: "put the .mem file beside it"}
	}
	if err != nil {
		return nil, err
	}
	var list []extents.Piece
	for ; len(table) >= 24; table = table[24:] {
		word := func(i int) uint64 { return binary.LittleEndian.Uint64(table[8*i:]) }
		list = append(list, extents.Piece{Order: len(list), Extent: physmem.Extent{
			Range: physmem.Range{Start: word(0), Size: word(1)}, Offset: int64(word(2)),
		}})
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	resolved, _ := extents.Resolve(list)
	return &physmem.Container{Description: "a guest in two files", Memory: extents.New(mem, resolved), MemoryFile: mem.Name()}, nil
}

// writeTwoFiles writes a guest and returns the path of its state.
func writeTwoFiles(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guest.state")
	state := binary.LittleEndian.AppendUint64([]byte(stateMagic), 0x100000)
	for _, word := range []uint64{0x3000, 0x2000, 0, 0x2000, 0} {
		state = binary.LittleEndian.AppendUint64(state, word)
	}
	require.NoError(t, os.WriteFile(path, state, 0o600))
	memory := append(fixture.Pattern(0, 0x2000), fixture.Pattern(0x100000, 0x3000)...)
	require.NoError(t, os.WriteFile(strings.TrimSuffix(path, ".state")+".mem", memory, 0o600))
	return path
}

// TestSibling: a caller's own opener, of a format in two files, is one of the list.
func TestSibling(t *testing.T) {
	t.Parallel()
	path := writeTwoFiles(t)
	_, err := open.File(t.Context(), path, open.Options{})
	require.ErrorIs(t, err, physmem.ErrUnknownFormat)

	for _, format := range []physmem.Format{"", "two-files"} {
		m, err := open.File(t.Context(), path, open.Options{Format: format, Openers: []physmem.Opener{twoFiles}})
		require.NoError(t, err)
		assert.Equal(t, physmem.Format("two-files"), m.Format())
		assert.Equal(t, "a guest in two files", m.Describe())
		assert.Empty(t, m.Machine())
		assert.Equal(t, "guest.mem", m.MemoryFile())
		require.NoError(t, physmemtest.Test(m, []physmem.Range{{Size: 0x2000}, {Start: 0x100000, Size: 0x3000}}, fixture.PatternAt))
		require.NoError(t, m.Close())
		_, err = m.ReadAt(make([]byte, 1), 0)
		require.ErrorIs(t, err, os.ErrClosed, "the sibling is closed with it")
	}

	// Its files may have snapshots, if it says so.
	choosing := twoFiles
	choosing.Snapshots = true
	m, err := open.File(t.Context(), path, open.Options{Snapshot: "one", Openers: []physmem.Opener{choosing}})
	require.NoError(t, err)
	require.NoError(t, m.Close())
	var option *physmem.OptionError
	_, err = open.File(t.Context(), path, open.Options{Snapshot: "one", Openers: []physmem.Opener{twoFiles}})
	require.ErrorAs(t, err, &option)

	// Others are tried behind it.
	core := filepath.Join(t.TempDir(), "core")
	require.NoError(t, os.WriteFile(core, fixture.Sample(t, "live-2cpu.vmcore.gz"), 0o600))
	m, err = open.File(t.Context(), core, open.Options{Openers: []physmem.Opener{twoFiles}})
	require.NoError(t, err)
	assert.Equal(t, physmem.FormatELF, m.Format())
	require.NoError(t, m.Close())
	_, err = open.File(t.Context(), core, open.Options{Format: "two-files", Openers: []physmem.Opener{twoFiles}})
	var unknown *physmem.UnknownFormatError
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, []physmem.Refusal{{Format: "two-files", Reason: `no "STATEv1\x00" at its start`}}, unknown.Tried)
}

func TestSiblingMissing(t *testing.T) {
	t.Parallel()
	path := writeTwoFiles(t)
	require.NoError(t, os.Remove(strings.TrimSuffix(path, ".state")+".mem"))
	opt := open.Options{Openers: []physmem.Opener{twoFiles}}
	_, err := open.File(t.Context(), path, opt)
	require.ErrorIs(t, err, physmem.ErrUnsupported)

	// What is not in a folder has no neighbours.
	state, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = open.Source(t.Context(), physmem.NewSource("guest.state", bytes.NewReader(state), int64(len(state))), opt)
	require.ErrorIs(t, err, physmem.ErrUnsupported)
}

// TestSiblingStaysInFolder: a name from a file leads nowhere else.
func TestSiblingStaysInFolder(t *testing.T) {
	t.Parallel()
	f, err := os.Open(writeTwoFiles(t))
	require.NoError(t, err)
	src, err := open.NewFile(f)
	require.NoError(t, err)
	defer src.Close()
	for _, name := range []string{"", ".", "..", "../x", "/etc/passwd", "a/b"} {
		_, err := src.OpenSibling(name)
		require.ErrorIs(t, err, fs.ErrInvalid, name)
	}
	_, err = src.OpenSibling("guest.mem")
	require.NoError(t, err)
}

// TestCancel: the context ends opening, and not the reads after it.
func TestCancel(t *testing.T) {
	t.Parallel()
	path := writeTwoFiles(t)
	opt := open.Options{Openers: []physmem.Opener{twoFiles}}
	ctx, cancel := context.WithCancel(t.Context())
	m, err := open.File(ctx, path, opt)
	require.NoError(t, err)
	defer m.Close()
	cancel()
	_, err = m.ReadAt(make([]byte, 0x10), 0)
	require.NoError(t, err)
	_, err = open.File(ctx, path, opt)
	require.ErrorIs(t, err, context.Canceled)
}
