package qemutest

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of this file hold what QEMU was seen to write, so that a newer QEMU that
// writes something else is noticed here and not as a puzzle elsewhere.

func dumpELF(t *testing.T, vm *VM, o ELFOptions) []byte {
	t.Helper()
	vm.files++
	path := filepath.Join(t.TempDir(), strconv.Itoa(vm.files))
	require.NoError(t, vm.DumpELF(path, o))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.EqualValues(t, 0o400, info.Mode().Perm())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func segments(t *testing.T, core []byte) (loads []elf.ProgHeader, note []byte) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(core))
	require.NoError(t, err)
	for _, p := range file.Progs {
		if p.Type == elf.PT_NOTE {
			note = core[p.Off:][:p.Filesz]
		} else {
			loads = append(loads, p.ProgHeader)
		}
	}
	return loads, note
}

// ram is the memory of a machine, if nothing else is said.
const ram = 4 << 20

type block struct{ paddr, filesz uint64 }

func blocks(loads []elf.ProgHeader) (all []block) {
	for _, p := range loads {
		all = append(all, block{p.Paddr, p.Filesz})
	}
	return all
}

func TestRAMBlocks(t *testing.T) {
	t.Parallel()
	const bios, biosSize = 0xfffc0000, 0x40000
	for name, tt := range map[string]struct {
		config Config
		want   []block
		offset uint64 // of the memory within a page of the file, 0 = not checked
	}{
		"pc":    {Config{}, []block{{0, ram}, {bios, biosSize}}, 0x4b0},
		"2 CPU": {Config{CPUs: 2}, []block{{0, ram}, {bios, biosSize}}, 0x7e0},
		"3 CPU": {Config{CPUs: 3, Machine: "q35"}, []block{{0, ram}, {bios, biosSize}}, 0xb10},
		"4 CPU": {Config{CPUs: 4}, []block{{0, ram}, {bios, biosSize}}, 0xe40},
		"VGA": {Config{VGA: true}, []block{
			{0, 0xa0000},
			{0xc0000, ram - 0xc0000},
			{0xfd000000, 16 << 20},
			{bios, biosSize},
		}, 0},
		"split": {Config{Machine: "q35", Memory: "8M", MaxRAMBelow4G: "4M"}, []block{
			{0, ram},
			{bios, biosSize},
			{4 << 30, ram},
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.config.SeaBIOS = true // whose block is looked for
			vm := Start(t, tt.config)
			core := dumpELF(t, vm, ELFOptions{})
			assert.EqualValues(t, 8, core[52], "e_ehsize, a QEMU bug")
			loads, note := segments(t, core)
			assert.Equal(t, tt.want, blocks(loads))
			for _, p := range loads {
				assert.Equal(t, p.Filesz, p.Memsz)
				assert.Equal(t, p.Paddr, p.Vaddr)
			}
			if tt.offset != 0 {
				assert.Equal(t, tt.offset, loads[0].Off%0x1000)
			}
			// CORE of 336 bytes and QEMU of 440 bytes a CPU, then the guest's note.
			assert.Len(t, note, max(tt.config.CPUs, 1)*(20+336+20+440)+24+0x2000)
		})
	}
}

func TestPagingLoads(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config Config
		some   func(p elf.ProgHeader) bool // true for one of the segments
	}{
		"1 GiB page": {Config{Variant: []string{"map1g"}}, func(p elf.ProgHeader) bool {
			return p.Paddr == 0 && p.Filesz == ram && p.Memsz == 1<<30
		}},
		"1 GiB page, VGA": {Config{VGA: true, Variant: []string{"map1g"}}, func(p elf.ProgHeader) bool {
			return p.Paddr == 0 && p.Filesz == 0xa0000 && p.Memsz == 1<<30
		}},
		"user addresses are sign-extended": {Config{Variant: []string{"user"}}, func(p elf.ProgHeader) bool {
			return p.Vaddr == 0xffff7ff612340000
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := Start(t, tt.config)
			core := dumpELF(t, vm, ELFOptions{Paging: true})
			loads, _ := segments(t, core)
			assert.True(t, slices.ContainsFunc(loads, tt.some))
			// Whatever the segments say, all of RAM is in the file.
			plain, note := segments(t, dumpELF(t, vm, ELFOptions{}))
			var all uint64
			for _, p := range plain {
				all += p.Filesz
			}
			assert.Greater(t, uint64(len(core)), all+uint64(len(note)))
		})
	}
}

// TestSoftwareBits: with bits 52-58 set, a leaf points to an I/O address as QEMU sees it.
// Only the page tables come in, by the self-map; all of RAM is in the file nevertheless.
func TestSoftwareBits(t *testing.T) {
	t.Parallel()
	vm := Start(t, Config{Variant: []string{"swbits"}})
	core := dumpELF(t, vm, ELFOptions{Paging: true})
	loads, _ := segments(t, core)
	assert.Less(t, covered(loads), uint64(0x30000))
	assert.Greater(t, len(core), ram)
}

// covered counts the bytes of physical memory that some segment holds.
func covered(loads []elf.ProgHeader) uint64 {
	pages := map[uint64]bool{}
	for _, p := range loads {
		for at := p.Paddr; at < p.Paddr+p.Filesz; at += 0x1000 {
			pages[at] = true
		}
	}
	return uint64(len(pages)) * 0x1000
}

func TestFilter(t *testing.T) {
	t.Parallel()
	vm := Start(t, Config{})
	loads, note := segments(t, dumpELF(t, vm, ELFOptions{Begin: 0x200123, Length: 0x1777}))
	require.Equal(t, []block{{0x200123, 0x1777}}, blocks(loads))
	assert.Len(t, note, 20+336+20+440+24+0x2000, "the notes are complete")
	err := vm.DumpELF(filepath.Join(t.TempDir(), "none"), ELFOptions{Begin: 0x80000000, Length: 0x1000})
	require.ErrorContains(t, err, "dump: no guest memory to dump")
}

func TestKdump(t *testing.T) {
	t.Parallel()
	vm := Start(t, Config{})
	path := filepath.Join(t.TempDir(), "kdump")
	require.NoError(t, vm.DumpKdump(path))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "makedumpfile\x00", string(data[:13]))
	assert.Equal(t, "KDUMP   ", string(data[4096+16:][:8]), "the first record of the flattened form")
}
