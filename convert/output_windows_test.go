//go:build windows

package convert_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"

	"windmp/convert"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/internal/atomicfile"
	"windmp/internal/guestsim"
)

func TestOutputIsNoFile(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	dir := filepath.Dir(core)
	for _, out := range []string{
		"NUL", "con", "CONOUT$", filepath.Join(dir, "COM1"), filepath.Join(dir, "lpt9"),
		`\\.\pipe\windmp`, `//./pipe/windmp`, `\\.\PhysicalDrive9`,
		filepath.Join(dir, "x.dmp:stream"), "c:x.dmp:stream", filepath.Join(dir, "x?.dmp"), filepath.Join(dir, `"x".dmp`),
		dir, `c:\`, `..`, `.`,
	} {
		var usage *stage.UsageError
		_, err := convert.File(context.Background(), core, out, convert.Options{Write: write.Options{Force: true}})
		require.ErrorAs(t, err, &usage, out)
	}
	assertOnly(t, core)
}

// TestInputIsNoFile: a device is refused, and nothing waits for it.
func TestInputIsNoFile(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "x.dmp")
	for _, in := range []string{"NUL", `\\.\pipe\windmp-nobody`, "COM9"} {
		_, err := convert.File(context.Background(), in, out, convert.Options{})
		require.Error(t, err, in)
	}
	assert.NoFileExists(t, out)
}

// TestOutputIsOpenElsewhere: a debugger that has the old dump open is told of
// before the work, and also when it opens it meanwhile.
func TestOutputIsOpenElsewhere(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	dir := t.TempDir()
	out := filepath.Join(dir, "out.dmp")
	require.NoError(t, os.WriteFile(out, []byte("precious"), 0o600))

	for _, early := range []bool{true, false} {
		var other *os.File
		open := func() {
			var err error
			other, err = os.Open(out)
			assert.NoError(t, err)
		}
		opt := convert.Options{Write: write.Options{Force: true}, Progress: func(p stage.Progress) {
			if p.Stage == stage.Write && other == nil {
				open()
			}
		}}
		if early {
			open()
		}
		_, err := convert.File(context.Background(), core, out, opt)
		require.NoError(t, other.Close())
		require.ErrorContains(t, err, "another program has the file open")
		b, err := os.ReadFile(out)
		require.NoError(t, err)
		assert.Equal(t, "precious", string(b))
		assertOnly(t, out)
	}
	_, err := convert.File(context.Background(), core, out, convert.Options{Write: write.Options{Force: true}})
	require.NoError(t, err)
}

func TestOutputIsReadOnly(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	out := filepath.Join(t.TempDir(), "out.dmp")
	require.NoError(t, os.WriteFile(out, []byte("precious"), 0o400))
	_, err := convert.File(context.Background(), core, out, convert.Options{Write: write.Options{Force: true}})
	require.ErrorContains(t, err, "marked read-only")
	assertOnly(t, out)
}

// TestLongPath: no limit of 260 characters, with the prefix for that or without.
func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 6 {
		dir = filepath.Join(dir, strings.Repeat("d", 50))
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	core := filepath.Join(dir, "guest.vmcore")
	require.NoError(t, os.WriteFile(core, guestsim.New(guestsim.Options{}).ELF(), 0o400))
	for _, prefix := range []string{"", `\\?\`} {
		for _, opt := range []convert.Options{{}, {Write: write.Options{Force: true}}} {
			_, err := convert.File(context.Background(), prefix+core, prefix+filepath.Join(dir, "out.dmp"), opt)
			require.NoError(t, err)
			if !opt.Write.Force {
				_, err = convert.File(context.Background(), core, filepath.Join(dir, "out.dmp"), opt)
				require.ErrorIs(t, err, atomicfile.ErrExists)
			}
		}
		require.NoError(t, os.Remove(filepath.Join(dir, "out.dmp")))
	}
	assertOnly(t, core)
}

// TestSparseFile: the file system knows of the holes.
func TestSparseFile(t *testing.T) {
	t.Parallel()
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil {
		t.Skip("NOT RUN: Wine leaves holes and does not tell of them")
	}
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	for mode, want := range map[write.Sparse]bool{write.SparseAuto: true, write.SparseAlways: true, write.SparseNever: false} {
		out := filepath.Join(t.TempDir(), "out.dmp")
		_, err := convert.File(context.Background(), core, out, convert.Options{Write: write.Options{Sparse: mode}})
		require.NoError(t, err)
		name, err := windows.UTF16PtrFromString(out)
		require.NoError(t, err)
		attributes, err := windows.GetFileAttributes(name)
		require.NoError(t, err)
		assert.Equal(t, want, attributes&windows.FILE_ATTRIBUTE_SPARSE_FILE != 0, mode)
	}
}
