package qemutest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGuest32 holds what QEMU writes of a 32-bit guest: an ELF64 core of EM_386, since
// the BIOS ends above UINT_MAX, with notes of i386, and a Windows dump whose contexts are
// four bytes longer than the structure.
func TestGuest32(t *testing.T) {
	t.Parallel()
	for name, variant := range map[string][]string{"PAE": nil, "no PAE": {"nopae"}, "odd": {"odd", "bsod"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := Start(t, Config{Guest32: true, CPUs: 3, Variant: variant})
			core := dumpELF(t, vm, ELFOptions{})
			file, err := elf.NewFile(bytes.NewReader(core))
			require.NoError(t, err)
			assert.Equal(t, elf.ELFCLASS64, file.Class)
			assert.Equal(t, elf.EM_386, file.Machine)
			_, note := segments(t, core)
			assert.Len(t, note, 3*(20+144+20+440)+24+0x1000)

			path := filepath.Join(t.TempDir(), "win")
			require.NoError(t, vm.DumpWin(path))
			assert.Empty(t, vm.Warnings())
			win, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, "PAGEDUMP", string(win[:8]))
			pages := binary.LittleEndian.Uint32(win[0x68:])
			assert.Len(t, win, 0x1000+int(pages)*0x1000)
			assert.Equal(t, uint32(len(win)), binary.LittleEndian.Uint32(win[0xfa0:]))
			// The first CPU's buffer: flags, then the four bytes behind the CONTEXT.
			va := uint64(0x85a00340)
			if name == "odd" {
				va = 0x85a00e40
			}
			inDump := func(va uint64, n int) []byte {
				pa := physical(t, vm, va)
				// The runs are those of a pc: 0x1 to 0x9e and from 0x100 on.
				return win[0x1000+(0x9e+pa>>12-0x100)<<12+pa&0xfff:][:n]
			}
			cr4, err := vm.HMP("info registers")
			require.NoError(t, err)
			assert.Equal(t, name != "no PAE", !strings.Contains(cr4, "CR4=000006d8"))
			assert.Equal(t, "\x17\x00\x01\x00", string(inDump(va, 4)), "ContextFlags")
			tail := physical(t, vm, va+0x2cc)
			live, err := vm.ReadPhysical(tail, 4)
			require.NoError(t, err)
			if name != "odd" {
				assert.Equal(t, "\xa5\xa5\xa5\xa5", string(live))
			}
			assert.Equal(t, "\x00\x00\x00\x00", string(inDump(va+0x2cc, 4)), "QEMU's own padding")
		})
	}
}
