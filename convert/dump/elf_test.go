package dump_test

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/dump"
	"windmp/convert/machine"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// given are the bytes that a segment has itself.
func given(t *testing.T, s dump.Segment) []byte {
	t.Helper()
	b := make([]byte, s.Size)
	_, err := s.Read(b, nil)
	require.NoError(t, err)
	return b
}

// front is what stands before the memory.
func front(t *testing.T, l dump.Layout) []byte {
	t.Helper()
	for s := range l.Segments() {
		require.Equal(t, dump.Bytes, s.Kind)
		return given(t, s)
	}
	return nil
}

// TestELF: what is written reads back, also when the program headers are too many
// for e_phnum.
func TestELF(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 0xfffd, 0xfffe, 0x10001} {
		var runs physmem.Runs
		for i := range n {
			runs = append(runs, physmem.Run{BasePage: uint64(i) * 2, PageCount: 1})
		}
		cpus := []physmem.CPU{
			{Index: 0, ID: 0, Registers: &physmem.X86{Rip: 1, CS: physmem.Segment{Selector: 0x10}, CR3: 0x1000, HasSystem: true, HasKernelGSBase: true, KernelGSBase: 5}},
			{Index: 1, ID: 1, Registers: &physmem.X86{Rsp: 2, GS: physmem.Segment{Base: 7}, TR: physmem.Segment{Selector: 0x40, Limit: 0x67, Flags: 0x8b00, Base: 9}, HasSystem: true, HasKernelGSBase: true}},
		}
		note := bytes.Repeat([]byte("note"), 11)
		l, err := dump.NewELF(machine.X64.Core, runs, cpus, note)
		require.NoError(t, err)
		head := front(t, l)
		assert.True(t, dump.WroteELF(head[:min(len(head), open.BeginningSize)]))
		assert.EqualValues(t, len(head)+n*0x1000, l.Size())
		file := slices.Concat(head, bytes.Repeat([]byte{0xab}, 0x1000))
		im, err := physmemtest.OpenReader(bytes.NewReader(file), l.Size(), open.Options{})
		require.NoError(t, err)
		assert.Empty(t, im.Oddities())
		assert.True(t, slices.Equal(runs.Ranges(), im.Ranges()), n)
		assert.Equal(t, note, im.GuestNote().Desc)
		got := im.CPUs()
		require.Len(t, got, 2)
		for i := range got {
			got[i].NoteOffset = 0
			assert.Equal(t, cpus[i], got[i])
		}
		var b [1]byte
		_, err = im.ReadAt(b[:], 0)
		require.NoError(t, err)
		assert.Equal(t, byte(0xab), b[0])
	}
}

func TestELFLimits(t *testing.T) {
	t.Parallel()
	var limit *dump.LimitError
	_, err := dump.NewELF(machine.X64.Core, make(physmem.Runs, 1<<22), nil, nil) // which are not looked at
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, dump.LimitError{Limit: dump.LimitSegments, Got: 1 << 22, Most: 1<<22 - 1}, *limit)
	_, err = dump.NewELF(machine.X64.Core, nil, make([]physmem.CPU, 4097), nil)
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, dump.LimitProcessors, limit.Limit)
	_, err = dump.NewELF(machine.X64.Core, physmem.Runs{{BasePage: 0, PageCount: 1 << 51}}, nil, nil)
	require.ErrorAs(t, err, &limit)
	assert.Equal(t, dump.LimitSize, limit.Limit)
	_, err = dump.NewELF(machine.X64.Core, physmem.Runs{{BasePage: 1, PageCount: 1}, {BasePage: 1, PageCount: 1}}, nil, nil)
	require.ErrorContains(t, err, "run 1")
}

// TestELF32: the core of a 32-bit machine is ELF32 as long as addresses and offsets
// fit.
func TestELF32(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		runs  physmem.Runs
		class elf.Class
	}{
		"small":               {physmem.Runs{{BasePage: 0, PageCount: 0xa0}, {BasePage: 0x100, PageCount: 1}}, elf.ELFCLASS32},
		"below 4 GiB":         {physmem.Runs{{BasePage: 0xfffff, PageCount: 1}}, elf.ELFCLASS32},
		"above 4 GiB":         {physmem.Runs{{BasePage: 0, PageCount: 1}, {BasePage: 0x100000, PageCount: 1}}, elf.ELFCLASS64},
		"the last that fits":  {physmem.Runs{{BasePage: 0, PageCount: 0xfffff}}, elf.ELFCLASS32},
		"offsets above 4 GiB": {physmem.Runs{{BasePage: 0, PageCount: 0x100000}}, elf.ELFCLASS64},
	} {
		cpu := physmem.CPU{Registers: &physmem.X86{
			Is32: true, Rax: 1, Rbx: 2, Rcx: 3, Rdx: 4, Rsi: 5, Rdi: 6, Rsp: 7, Rbp: 8, Rip: 0x82a00000, Rflags: 0x246,
			CS: physmem.Segment{Selector: 8}, SS: physmem.Segment{Selector: 0x10}, FS: physmem.Segment{Selector: 0x30, Base: 0x82b00000},
			CR3: 0x185000, CR4: 0x6f8, HasSystem: true, HasKernelGSBase: true,
		}}
		l, err := dump.NewELF(machine.X86.Core, tt.runs, []physmem.CPU{cpu}, []byte("note"))
		require.NoError(t, err)
		head := front(t, l)
		im, err := physmemtest.OpenReader(bytes.NewReader(head), l.Size(), open.Options{})
		require.NoError(t, err, name)
		assert.Equal(t, byte(tt.class), head[elf.EI_CLASS], name)
		assert.Equal(t, physmem.MachineX86, im.Machine(), name)
		assert.Equal(t, tt.runs.Ranges(), im.Ranges(), name)
		assert.Empty(t, im.Oddities(), name)
		got := im.CPUs()
		require.Len(t, got, 1, name)
		got[0].NoteOffset = 0
		assert.Equal(t, cpu, got[0], name)
	}
}

// TestWroteELF: cores of QEMU, of both classes and with paging, are not taken for ours,
// nor is anything that is cut or no core.
func TestWroteELF(t *testing.T) {
	t.Parallel()
	samples, err := filepath.Glob(filepath.Join("..", "..", "testdata", "*.vmcore.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, samples)
	for _, name := range samples {
		f, err := os.Open(name)
		require.NoError(t, err)
		z, err := gzip.NewReader(f)
		require.NoError(t, err)
		b, err := io.ReadAll(io.LimitReader(z, open.BeginningSize))
		require.NoError(t, err)
		require.NoError(t, f.Close())
		assert.False(t, dump.WroteELF(b), name)
	}
	l, err := dump.NewELF(machine.X86.Core, physmem.Runs{{PageCount: 1}}, nil, nil)
	require.NoError(t, err)
	head := front(t, l)
	assert.True(t, dump.WroteELF(head))
	for n := range 64 {
		assert.False(t, dump.WroteELF(head[:n]), n)
	}
	head[elf.EI_CLASS] = 0
	assert.False(t, dump.WroteELF(head))
}
