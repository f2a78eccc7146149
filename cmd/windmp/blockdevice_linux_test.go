package main

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/exitcode"
	"windmp/internal/coretest"
	"windmp/physmem/open"
)

// loopDevice makes a read-only block device of a file's bytes, with others behind.
func loopDevice(t *testing.T, b []byte) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("DID NOT RUN: a loop device needs root")
	}
	path := filepath.Join(t.TempDir(), "volume")
	const sector = 512
	rest := []byte(strings.Repeat("what was on the volume before. ", 20_000))
	b = append(append([]byte(nil), b...), rest...)
	require.NoError(t, os.WriteFile(path, b[:len(b)/sector*sector], 0o600))
	out, err := exec.Command("losetup", "--find", "--show", "--read-only", path).Output()
	if err != nil {
		t.Skipf("DID NOT RUN: no loop device: losetup: %v", err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { assert.NoError(t, exec.Command("losetup", "--detach", device).Run()) })
	return device
}

// TestBlockDevice: a device is a source wherever a file is, for every command, and what
// lies on it behind a machine's state is nothing: the dump is that of the file.
func TestBlockDevice(t *testing.T) {
	t.Parallel()
	im, err := open.File(t.Context(), stressCore, open.Options{})
	require.NoError(t, err)
	defer im.Close()
	file := coretest.Migration(t, im, coretest.WithAll(im.CPUs()), "pc-i440fx-7.2+pve0")
	device, dir := loopDevice(t, file), t.TempDir()
	path := filepath.Join(dir, "state")
	require.NoError(t, os.WriteFile(path, file, 0o600))

	dumps := make([][sha256.Size]byte, 0, 2)
	for _, in := range []string{path, device} {
		out := filepath.Join(dir, filepath.Base(in)+".dmp")
		got := finishHere("convert", "-q", in, out)
		require.Zero(t, got.code, got.stderr)
		b, err := os.ReadFile(out)
		require.NoError(t, err)
		dumps = append(dumps, sha256.Sum256(b))
	}
	assert.Equal(t, dumps[0], dumps[1])
	for _, args := range [][]string{
		{"check", device},
		{"check", "--level=full", device},
		{"check", "--max-size=1GB", device},
		{"info", "--modules", "--processes", device},
		{"symbols", device},
		{"vtop", device, "fffff780`00000000"},
		{"convert", "--to=elf", device, filepath.Join(dir, "elf")},
		{"convert", "--dry-run", device, filepath.Join(dir, "none")},
		{"convert", "--format=migration", device, filepath.Join(dir, "again.dmp")},
	} {
		got := finishHere(args...)
		assert.Zero(t, got.code, "%v: %s", args, got.stderr)
	}
	// Nothing is written beside a device.
	got := finishHere("convert", device)
	assert.Equal(t, exitcode.Usage, got.code)
	assert.Contains(t, got.stderr, "is a device, beside which no dump is written")
}
