package qemutest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStart(t *testing.T) {
	t.Parallel()
	vm := Start(t, Config{CPUs: 2})
	dir := t.TempDir()
	elf, dmp := filepath.Join(dir, "elf"), filepath.Join(dir, "dmp")
	require.NoError(t, vm.DumpELF(elf, ELFOptions{}))
	require.NoError(t, vm.DumpWin(dmp))

	header, err := os.ReadFile(dmp)
	require.NoError(t, err)
	assert.Equal(t, "PAGEDU64", string(header[:8]))
	assert.EqualValues(t, 2, binary.LittleEndian.Uint32(header[0x34:]), "NumberProcessors")
	assert.EqualValues(t, 0x161, binary.LittleEndian.Uint32(header[0x38:]), "BugCheckCode")

	core, err := os.ReadFile(elf)
	require.NoError(t, err)
	note := bytes.Index(core, []byte("VMCOREINFO\x00\x00PAGEDU64"))
	assert.Positive(t, note)

	// An unused page says where it is; the first run starts at page 1.
	page, err := vm.ReadPhysical(0x9000, 0x1000)
	require.NoError(t, err)
	assert.EqualValues(t, 0x9000, binary.LittleEndian.Uint64(page))
	assert.Equal(t, page, header[0x2000+0x8000:][:0x1000])
}

func TestUnknownWord(t *testing.T) {
	t.Parallel()
	Require(t)
	vm := &VM{dir: t.TempDir(), ended: make(chan error, 1)}
	image, err := guestKinds[false][false].made()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(vm.path("guest.bin"), image, 0o600))
	err = vm.boot(Config{Variant: []string{"bsod", "nosuchword"}})
	defer vm.close()
	require.ErrorContains(t, err, "unknown word")
}
