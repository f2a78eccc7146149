package convert_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/internal/coretest"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/physmemtest"
	"windmp/vtop"
)

// Where the 32-bit test guest has things (testdata/guest32/guest.h).
const (
	nt32    = 0x82a00000
	kdbg32  = nt32 + 0x12ebe8
	copy32  = 0x85312340
	drv32   = 0x8b4e0000
	name32  = nt32 + 0x1040 // in the export directory
	kuser32 = 0xffdf0000

	// scattered32 is at the end of a page behind which another one is mapped.
	scattered32 = nt32 + 0x17df00
)

// bare32 is a sample of a 32-bit guest without its header note, to be changed.
type bare32 struct {
	t      testing.TB
	ranges []physmem.Range
	memory [][]byte
	cpus   []physmem.CPU
	space  *vtop.Space
}

func newBare32(tb testing.TB, name string) *bare32 {
	tb.Helper()
	core := gunzip(tb, samplePath(name+".vmcore.gz"))
	im, err := physmemtest.Open(core)
	require.NoError(tb, err)
	b := &bare32{t: tb, ranges: im.Ranges(), cpus: im.CPUs()}
	for _, r := range b.ranges {
		p := testheap.Bytes(tb, int(r.Size))
		_, err := im.ReadAt(p, int64(r.Start))
		require.NoError(tb, err)
		b.memory = append(b.memory, p)
	}
	mode := vtop.X86
	if b.cpu(0).PAE() {
		mode = vtop.PAE
	}
	b.space = vtop.NewSpace(b, b.cpu(0).CR3, mode)
	return b
}

// cpu are the registers of a vCPU.
func (b *bare32) cpu(i int) *physmem.X86 { return physmem.X86Of(b.cpus[i]) }

// at is the memory from pa on, as far as it lies in one range.
func (b *bare32) at(pa uint64) []byte {
	for i, r := range b.ranges {
		if r.Contains(pa) {
			return b.memory[i][pa-r.Start:]
		}
	}
	return nil
}

func (b *bare32) ReadAt(p []byte, off int64) (int, error) {
	if n := copy(p, b.at(uint64(off))); n < len(p) {
		return n, assert.AnError
	}
	return len(p), nil
}

// write writes to virtual memory, within a page.
func (b *bare32) write(va vtop.VA, p []byte) {
	m, err := b.space.Translate(va)
	require.NoError(b.t, err)
	copy(b.at(uint64(m.PA)), p)
}

// unmap clears the entry that maps va.
func (b *bare32) unmap(va vtop.VA) {
	m, err := b.space.Translate(va)
	require.NoError(b.t, err)
	clear(b.at(uint64(m.EntryPA))[:4])
}

func (b *bare32) wipe() {
	for _, p := range b.memory {
		clear(p)
	}
}

// keep leaves nothing but a part of memory.
func (b *bare32) keep(r physmem.Range) {
	p := slices.Clone(b.at(r.Start)[:r.Size])
	b.ranges, b.memory = []physmem.Range{r}, [][]byte{p}
}

// file is the core, without a header note.
func (b *bare32) file() []byte {
	front := frontELF32(b.t, b.ranges, b.cpus)
	file := testheap.Bytes(b.t, len(front)+int(physmem.TotalSize(b.ranges)))
	n := copy(file, front)
	for _, p := range b.memory {
		n += copy(file[n:], p)
	}
	return file[:n]
}

// userMode lets all vCPUs be in ring 3.
func (b *bare32) userMode() {
	for i := range b.cpus {
		c := b.cpu(i)
		c.CS.Selector, c.FS.Selector, c.FS.Base, c.Rip = 0x1b, 0x3b, 0x7ffde000, 0x401000
	}
}

// TestDiscover32 finds a guest of which one thing or other is missing.
func TestDiscover32(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		poke func(b *bare32)
		via  string
		also string // the one finding there must be of how vCPUs are matched
		kdbg uint32 // where the block is, if it was moved
	}{
		{name: "IDT", poke: func(*bare32) {}, via: "CR3 of vCPU 0"},
		{name: "version block", via: "CR3 of vCPU 0", poke: func(b *bare32) {
			for i := range b.cpus {
				b.cpu(i).IDT.Base, b.cpu(i).Rip = 0, 0
			}
		}},
		{name: "user mode", via: "CR3 of vCPU 0", poke: (*bare32).userMode},
		{name: "user mode, no IDT, vCPUs exchanged", via: "CR3 of vCPU 0", also: finding.VCPUOrder.ID(), poke: func(b *bare32) {
			b.userMode()
			slices.Reverse(b.cpus)
			for i := range b.cpus {
				b.cpu(i).IDT.Base = 0
			}
		}},
		{name: "first CR3 of no use", via: "CR3 of vCPU 1", poke: func(b *bare32) { b.cpu(0).CR3 = 0x201000 }},
		{name: "no CR3 of use", via: "self-map", poke: func(b *bare32) { b.cpu(0).CR3, b.cpu(1).CR3 = 0, 0x5000 }},
		{name: "a trace of the kernel in no vCPU", via: "self-map", also: finding.VCPUUnmatched.ID(), poke: func(b *bare32) {
			for i := range b.cpus {
				c := b.cpu(i)
				c.IDT.Base, c.Rip, c.FS.Base, c.GDT.Base, c.TR.Base = 0, 0, 0, 0, 0
			}
		}},
		{name: "no vCPUs", via: "self-map", poke: func(b *bare32) { b.cpus = nil }},
		{name: "KDBG's list head gone", via: "self-map", poke: func(b *bare32) {
			b.cpus = nil
			b.write(nt32+0x161b98, make([]byte, 8))
		}},
		{name: "block across scattered pages", via: "self-map", kdbg: scattered32, poke: func(b *bare32) {
			b.cpus = nil
			block := slices.Clone(b.at(b.pa(kdbg32))[:0x340])
			b.write(kdbg32+0x10, make([]byte, 4))
			b.write(copy32+0x10, make([]byte, 4))
			b.write(scattered32, block[:0x100])
			b.write(scattered32+0x100, block[0x100:])
			b.write(nt32+0x161b98, binary.LittleEndian.AppendUint32(nil, scattered32))
		}},
		{name: "decoys", via: "self-map", poke: func(b *bare32) {
			b.cpus = nil
			block := slices.Clone(b.at(b.pa(kdbg32))[:0x340])
			for i := range uint64(40) { // other kernels' blocks
				binary.LittleEndian.PutUint32(block[0x18:], uint32(0x83000000+i<<12))
				binary.LittleEndian.PutUint32(block[0x48:], uint32(0x83000000+i<<12+0x10))
				binary.LittleEndian.PutUint32(block[0x50:], uint32(0x83000000+i<<12+0x20))
				copy(b.at(0x110000+i*0x400), block)
			}
		}},
	}
	for _, name := range []string{"x86-bsod-2cpu", "x86-nopae-live-2cpu"} {
		for _, tt := range tests {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				b := newBare32(t, name)
				dtb, pae := uint32(b.cpu(0).CR3), b.cpu(0).PAE()
				tt.poke(b)
				dmp, r, err := convertBytes(t, b.file(), convert.Options{})
				require.NoError(t, err)
				assert.Contains(t, findingOf(r, finding.GuestFound.ID()).Message, tt.via)
				for _, id := range []string{finding.VCPUUnmatched.ID(), finding.VCPUOrder.ID()} {
					assert.Equal(t, id == tt.also, findingOf(r, id) != nil, id)
				}
				assert.Equal(t, b.cpus == nil, findingOf(r, finding.NoVCPUState.ID()) != nil)
				assertBuilt32(t, dmp, dtb, cmp.Or(tt.kdbg, kdbg32), pae)
			})
		}
	}
}

// pa is where va lies.
func (b *bare32) pa(va vtop.VA) uint64 {
	m, err := b.space.Translate(va)
	require.NoError(b.t, err)
	return uint64(m.PA)
}

// assertBuilt32: the fields of a built header, by their offsets.
func assertBuilt32(t *testing.T, dmp []byte, dtb, kdbg uint32, pae bool) {
	t.Helper()
	assert.Equal(t, "PAGEDUMP", string(dmp[:8]))
	for offset, want := range map[int]uint32{
		0x08: 0xf, 0x0c: 7601, 0x10: dtb, 0x18: nt32 + 0x14e4d0, 0x1c: nt32 + 0x146df8, 0x20: 0x14c, 0x24: 2,
		0x60: kdbg, 0x64: 2, 0x8a0: 1 << 5, 0xf88: 1, 0xf94: 1, 0xf98: 0x110,
	} {
		assert.Equal(t, want, u32(dmp, offset), "offset %#x", offset)
	}
	assert.Equal(t, pae, dmp[0x5c] == 1)
	assert.True(t, bytes.HasPrefix(dmp[0x820:], []byte("windmp: ")))
}

// TestWhyNot32: what keeps a 32-bit guest from being found is said.
func TestWhyNot32(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, want, says string
		poke             func(b *bare32)
	}{
		{"a Linux guest", finding.OtherSystem.ID(), `Linux "6.1.0-13-amd64"`, func(b *bare32) {
			b.wipe()
			copy(b.at(0x104123), banner)
		}},
		{"firmware", finding.NotBooted.ID(), "2 had no paging", func(b *bare32) {
			b.wipe()
			for i := range b.cpus {
				c := b.cpu(i)
				c.CR0, c.CR3, c.CR4, c.Rip = 0x10, 0, 0, 0xfff0
			}
		}},
		{"nothing", finding.NoKDBG.ID(), "no Windows kernel was found", func(b *bare32) {
			b.wipe()
			b.cpus = nil
		}},
		{"boot loader", finding.NotBooted.ID(), "still booting", func(b *bare32) {
			b.write(name32, []byte("winload.exe\x00"))
			b.write(name32+0x10, []byte("BlDestroyLibrary\x00")) // the kernel's first export
			b.unmap(kuser32)
		}},
		{"early boot", finding.NotBooted.ID(), "has no KDBG", func(b *bare32) {
			b.write(kdbg32+0x10, make([]byte, 4))
			b.write(copy32+0x10, make([]byte, 4))
		}},
		{"the kernel's first milliseconds", finding.NotBooted.ID(), "too early: the kernel \"ntoskrnl.exe\"", func(b *bare32) {
			b.write(kuser32, make([]byte, 0x1000))
		}},
		{"the kernel's first milliseconds, no vCPUs", finding.NotBooted.ID(), "too early", func(b *bare32) {
			b.write(kuser32, make([]byte, 0x1000))
			b.cpus = nil
		}},
		{"no page tables", finding.KernelUnmapped.ID(), "no vCPU and no page table", func(b *bare32) {
			root := b.cpu(0).CR3
			clear(b.at(root)[:32])
			clear(b.at(root &^ 0xfff)[:0x1000])
			b.cpus = nil
		}},
		{"page tables filtered away", finding.RootAbsent.ID(), "not in the file", func(b *bare32) {
			b.keep(physmem.Range{Start: 0x100000, Size: 0x80000})
		}},
	}
	for _, name := range []string{"x86-bsod-2cpu", "x86-nopae-live-2cpu"} {
		for _, tt := range tests {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				b := newBare32(t, name)
				tt.poke(b)
				_, _, err := convertBytes(t, b.file(), convert.Options{})
				var refused *finding.RefusedError
				require.ErrorAs(t, err, &refused)
				assert.Equal(t, tt.want, refused.Finding.ID, err.Error())
				assert.Contains(t, err.Error(), tt.says)
			})
		}
	}
}

// TestOverrides32: addresses that can't be right are refused with the reason, with
// vCPUs and without.
func TestOverrides32(t *testing.T) {
	t.Parallel()
	overrides := []struct {
		opt    convert.Options
		reason string
	}{
		{convert.Options{Guest: guest.Options{DTB: 0x110000}}, "the given root"},
		{convert.Options{Guest: guest.Options{DTB: 0x7777000}}, "the given root"},
		{convert.Options{Guest: guest.Options{KernelBase: drv32}}, "not the kernel"},
		{convert.Options{Guest: guest.Options{KernelBase: nt32 + 0x1000}}, "the given kernel base"},
		{convert.Options{Guest: guest.Options{KernelBase: 0xfffff80412c00000}}, "the given kernel base"},
		{convert.Options{Guest: guest.Options{KDBG: kdbg32 + 8}}, "the given KDBG"},
		{convert.Options{Guest: guest.Options{KDBG: 0xfffff80412c00000}}, "the given KDBG"},
		{convert.Options{Guest: guest.Options{KDBG: copy32}}, ""},
	}
	for _, name := range []string{"x86-bsod-2cpu", "x86-nopae-live-2cpu"} {
		b := newBare32(t, name)
		with := b.file()
		b.cpus = nil
		for _, file := range [][]byte{with, b.file()} {
			for _, tt := range overrides {
				_, _, err := convertBytes(t, file, tt.opt)
				if tt.reason == "" {
					require.NoError(t, err)
					continue
				}
				var refused *finding.RefusedError
				require.ErrorAs(t, err, &refused, "%+v", tt.opt)
				assert.Equal(t, finding.GivenWrong.ID(), refused.Finding.ID)
				assert.Contains(t, err.Error(), tt.reason)
			}
		}
	}
}

// TestBuiltHeader32: what a built header says where a guest's structures are other
// than usual.
func TestBuiltHeader32(t *testing.T) {
	t.Parallel()
	const (
		memoryBlock = nt32 + 0x17d710
		lab         = nt32 + 0x162020
	)
	tests := []struct {
		name, want string
		poke       func(b *bare32)
		check      func(t *testing.T, dmp []byte)
	}{
		{"no list of memory", finding.MemoryGuessed.ID(), func(b *bare32) { b.write(memoryBlock, make([]byte, 4)) }, func(t *testing.T, dmp []byte) {
			t.Helper()
			assert.Zero(t, u32(dmp, 0x6c), "from page 0 on")
		}},
		{"memory that no page number reaches", finding.MemoryGuessed.ID(), func(b *bare32) {
			b.write(memoryBlock, make([]byte, 4))
			b.ranges = append(b.ranges, physmem.Range{Start: 1<<44 - 0x2000, Size: 0x4000})
			b.memory = append(b.memory, make([]byte, 0x4000))
		}, func(t *testing.T, dmp []byte) {
			t.Helper()
			last := 0x64 + 8*int(u32(dmp, 0x64))
			assert.Equal(t, uint32(0xfffffffe), u32(dmp, last))
			assert.Equal(t, uint32(1), u32(dmp, last+4))
		}},
		{"90 runs", finding.HeaderBuilt.ID(), func(b *bare32) {
			const runs, at = 90, copy32 + 0x400
			list := binary.LittleEndian.AppendUint32(nil, runs)
			list = binary.LittleEndian.AppendUint32(list, runs-1+0x100)
			for i := range uint32(runs - 1) {
				list = binary.LittleEndian.AppendUint32(list, 0x100+2*i)
				list = binary.LittleEndian.AppendUint32(list, 1)
			}
			list = binary.LittleEndian.AppendUint32(list, 0x200)
			list = binary.LittleEndian.AppendUint32(list, 0x100)
			b.write(at, list)
			b.write(memoryBlock, binary.LittleEndian.AppendUint32(nil, at))
		}, func(t *testing.T, dmp []byte) {
			t.Helper()
			assert.Equal(t, uint32(5), u32(dmp, 0xf88), "a bitmap dump")
			assert.Equal(t, "FDMP", string(dmp[0x1000:0x1004]))
		}},
		{"no version block", finding.HeaderBuilt.ID(), func(b *bare32) {
			for i := range b.cpus {
				b.write(vtop.VA(b.cpu(i).FS.Base+0x34), make([]byte, 4))
			}
			b.write(lab, []byte("7600.16385.x86chk"))
		}, func(t *testing.T, dmp []byte) {
			t.Helper()
			assert.Equal(t, uint32(0xc), u32(dmp, 0x08))
			assert.Equal(t, uint32(7600), u32(dmp, 0x0c))
		}},
		{"more processors than there can be", finding.HeaderBuilt.ID(), func(b *bare32) {
			b.write(kuser32+0x3c0, binary.LittleEndian.AppendUint32(nil, 33))
		}, func(t *testing.T, dmp []byte) {
			t.Helper()
			assert.Equal(t, uint32(2), u32(dmp, 0x24))
		}},
	}
	for _, name := range []string{"x86-bsod-2cpu", "x86-nopae-live-2cpu"} {
		for _, tt := range tests {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				b := newBare32(t, name)
				tt.poke(b)
				dmp, r, err := convertBytes(t, b.file(), convert.Options{})
				require.NoError(t, err)
				assert.NotNil(t, findingOf(r, tt.want))
				tt.check(t, dmp)
			})
		}
	}
}

// TestContainers32: the files that other programs make of a 32-bit guest give the
// dump of QEMU's core, but for registers that only one of them has.
func TestContainers32(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x86-bsod-2cpu", "x86-nopae-live-2cpu"} {
		t.Run(name, func(t *testing.T) {
			b := newBare32(t, name)
			opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsSaved}}
			want, _, err := convertBytes(t, b.file(), opt)
			require.NoError(t, err)
			im := imageOf(t, b.file())
			raw := opt
			raw.Source.Input.Format = physmem.FormatRaw
			b.keep(physmem.Range{Start: 0x100000, Size: 0x300000})
			flat := append(make([]byte, 0x100000), b.memory[0]...)
			for _, file := range []struct {
				name string
				data []byte
				opt  convert.Options
			}{
				{"VirtualBox", coretest.VirtualBox(t, im, im.CPUs(), 0x10006), opt},
				{"gdb's script", coretest.GDBScript(t, im, nil), opt},
				{"gdb's old script", coretest.GDBScriptOld(t, im), opt},
				{"raw, no holes given", flat, raw},
			} {
				got, _, err := convertBytes(t, file.data, file.opt)
				require.NoError(t, err, "%s, %s", name, file.name)
				require.Len(t, got, len(want), file.name)
				// Comments differ; of the raw file the first megabyte is left out.
				from := 0x1000
				if file.opt.Source.Input.Format == physmem.FormatRaw {
					from += 0x9e000
				}
				assert.Equal(t, want[from:], got[from:], "%s, %s", name, file.name)
				assert.Equal(t, want[:0x320], got[:0x320], "%s, %s", name, file.name)
			}
		})
	}
}
