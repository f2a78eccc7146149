package vmcore_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// failsAt is a file whose n-th read and all after it fail.
type failsAt struct {
	io.ReaderAt
	n   int
	err error
}

func (f *failsAt) ReadAt(p []byte, off int64) (int, error) {
	if f.n--; f.n < 0 {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestOpenReadErrors fails each read of opening in turn. The error is the
// reader's, or what could not be read was not needed and that is said.
func TestOpenReadErrors(t *testing.T) {
	t.Parallel()
	bad := errors.New("input/output error")
	b := pagedSeed()
	b.xnum = true
	file := b.build()
	failed := 0
	for n := 0; ; n++ {
		f := &failsAt{bytes.NewReader(file), n, bad}
		m, err := physmemtest.OpenReader(f, int64(len(file)), open.Options{})
		if err != nil {
			require.ErrorIs(t, err, bad)
			require.NotErrorIs(t, err, physmem.ErrUnknownFormat)
			require.Nil(t, m)
			failed++
			continue
		}
		if f.n >= 0 {
			break // nothing failed any more
		}
		if len(m.CPUs()) == 0 {
			require.Equal(t, []physmem.OddityKind{physmem.OddityNoteSkipped}, fixture.Kinds(m))
			assert.Contains(t, m.Oddities()[0].Detail, "input/output error")
		}
	}
	assert.Equal(t, 3, failed, "header, section header 0, program headers")

	_, err := physmemtest.OpenReader(&failsAt{bytes.NewReader([]byte("not an ELF")), 1, bad}, 10, open.Options{})
	require.ErrorIs(t, err, bad, "while looking what it is")
}

func TestMappingsReadError(t *testing.T) {
	t.Parallel()
	bad := errors.New("input/output error")
	file := pagedSeed().build()
	f := &fixture.Flaky{ReaderAt: bytes.NewReader(file)}
	m, err := physmemtest.OpenReader(f, int64(len(file)), open.Options{})
	require.NoError(t, err)
	f.Fail(bad)
	for _, err := range m.Mappings() {
		require.ErrorIs(t, err, bad)
	}
}

func TestManyNoteSegments(t *testing.T) {
	t.Parallel()
	b := withNotes(fixture.CPUNotes(2)...)
	file := b.build()
	// A table of 70 copies of the PT_NOTE, then the PT_LOADs, behind the file.
	var h elf.Header64
	copy(file[:0x40], file)
	table := len(file)
	for range 70 {
		file = append(file, file[phoff:phoff+56]...)
	}
	file = append(file, file[phoff+56:phoff+3*56]...)
	h = elf.Header64{
		Type: uint16(elf.ET_CORE), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: uint64(table), Phentsize: 56, Phnum: 72,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = 2, 1, 1
	copy(file, fixture.Encode(h))
	m, err := physmemtest.Open(file)
	require.NoError(t, err)
	assert.Len(t, m.CPUs(), 2*64)
	assert.Equal(t, []physmem.OddityKind{physmem.OddityLimit}, fixture.Kinds(m))
	assert.Contains(t, m.Oddities()[0].Text, "more than 64 PT_NOTE headers")
	assert.Equal(t, twoBlockRanges, m.Ranges())
}

// TestNoSectionNames recovers a file without a table of section names, as QEMU
// before 7.2 wrote it: memory goes up to the end of the file.
func TestNoSectionNames(t *testing.T) {
	t.Parallel()
	for name, mutate := range map[string]func(h *elf.Header64){
		"no sections":         func(h *elf.Header64) { h.Shoff, h.Shnum, h.Shentsize, h.Shstrndx = 0, 0, 0, 0 },
		"not a string table":  func(h *elf.Header64) { h.Shstrndx = 0 },
		"behind the file":     func(h *elf.Header64) { h.Shoff = 1 << 50 },
		"not section headers": func(h *elf.Header64) { h.Shentsize = 40 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := &machine{blocks: rs{r(0, 0x1000)}}
			q.mapped(0x800, 0x10)
			b := q.builder()
			b.memory = fixture.Pattern(0, 0x1000)
			b.mutate = mutate
			file := b.build()
			m, err := physmemtest.Open(file[:len(file)-len(shstrtab)])
			require.NoError(t, err)
			assert.Equal(t, rs{r(0, 0x800), r(0x810, 0x1000)}, place(&m, rs{r(0x10, 0x1000)}))
			require.NoError(t, q.wrong(m))
		})
	}
}

func TestErrorStrings(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for want, err := range map[string]error{
		"elf: x at file offset 0x10: got 1, want 2: why: cause; do": &physmem.FormatError{
			Format: physmem.FormatELF, Offset: 0x10, Field: "x", Got: "1", Want: "2", Reason: "why", Err: cause, Hint: "do",
		},
		"the file is a thing":                          &physmem.UnsupportedError{What: "a thing"},
		"read of the image at file offset 0x20: cause": &physmem.ReadError{Offset: 0x20, Err: cause},
	} {
		require.EqualError(t, err, want)
	}
	require.ErrorIs(t, &physmem.FormatError{Err: cause}, cause)
}
