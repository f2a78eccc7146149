package qemutest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// contextVA is the buffer of KiProcessorBlock entry 0 (testdata/guest/cpu.c).
const contextVA = 0xffffa50100000340

// physical asks QEMU, not us, where a virtual address is.
func physical(t *testing.T, vm *VM, va uint64) uint64 {
	t.Helper()
	text, err := vm.HMP(fmt.Sprintf("gva2gpa %#x", va))
	require.NoError(t, err)
	pa, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(text), "gpa: 0x"), 16, 64)
	require.NoError(t, err, text)
	return pa
}

// TestContextAfterDump: a dump that succeeds leaves guest memory as it was, one that
// fails at CPU 1 leaves CPU 0's registers behind in the guest.
func TestContextAfterDump(t *testing.T) {
	t.Parallel()
	for variant, same := range map[string]bool{"live": true, "noprcb": false, "noctx": false} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			vm := Start(t, Config{CPUs: 2, Variant: []string{variant}})
			pa := physical(t, vm, contextVA)
			before, err := vm.ReadPhysical(pa, 0x4d0)
			require.NoError(t, err)
			err = vm.DumpWin(filepath.Join(t.TempDir(), "win"))
			assert.Equal(t, same, err == nil)
			after, err := vm.ReadPhysical(pa, 0x4d0)
			require.NoError(t, err)
			if same {
				assert.Equal(t, before, after)
			} else {
				assert.NotEqual(t, before, after)
				assert.Equal(t, "\x1f\x00\x10\x00", string(after[0x30:0x34]), "ContextFlags 0x10001f")
			}
		})
	}
}

// TestScattered: what is contiguous for the guest is not in physical memory.
func TestScattered(t *testing.T) {
	t.Parallel()
	vm := Start(t, Config{Machine: "q35", Memory: "8M", MaxRAMBelow4G: "4M", Variant: []string{"odd"}})
	const kdbg = 0xfffff80042800e20
	first, second := physical(t, vm, kdbg), physical(t, vm, kdbg+0x1000)
	assert.NotEqual(t, first+0x1000, second)
	above := 0
	for va := uint64(0xffffb98000180000); va < 0xffffb9800018b000; va += 0x1000 {
		if physical(t, vm, va) >= 4<<30 {
			above++
		}
	}
	assert.Positive(t, above, "some of the KPCR lies above 4 GiB")
}

// TestRegisters: each CPU rests with registers of its own, in the mode that was asked for.
func TestRegisters(t *testing.T) {
	t.Parallel()
	vm := Start(t, Config{CPUs: 4, Variant: []string{"user", "pcid"}})
	text, err := vm.HMP("info registers -a")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, field := range strings.Fields(strings.ReplaceAll(text, " =", "=")) {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15", "RIP":
			assert.False(t, seen[value], "%s twice", field)
			seen[value] = true
		case "CR3":
			assert.Equal(t, "2", value[len(value)-1:], "process-context id")
		}
	}
	assert.Len(t, seen, 4*17)
	assert.Equal(t, 1, strings.Count(text, "CPL=3"))
	assert.Equal(t, 3, strings.Count(text, "CPL=0"))
	assert.Contains(t, text, "GS =002b 000000d4f2d0b000")
}
