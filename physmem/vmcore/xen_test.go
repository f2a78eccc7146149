package vmcore_test

import (
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

// sections is a core without program headers, as Xen writes them: ELF header, section
// headers, names.
func sections(names ...string) []byte {
	h := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_CORE), Machine: uint16(elf.EM_X86_64), Version: 1,
		Shoff: 64, Ehsize: 64, Phentsize: 56, Shentsize: 64, Shnum: uint16(len(names) + 1), Shstrndx: uint16(len(names)),
	}
	b, _ := binary.Append(nil, binary.LittleEndian, h)
	table := []byte{0}
	for _, name := range names {
		b, _ = binary.Append(b, binary.LittleEndian, elf.Section64{Name: uint32(len(table)), Type: uint32(elf.SHT_PROGBITS)})
		table = append(append(table, name...), 0)
	}
	b, _ = binary.Append(b, binary.LittleEndian, elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: uint64(len(b) + 64), Size: uint64(len(table))})
	return append(b, table...)
}

// TestXenCore: a core of Xen has sections in place of program headers.
func TestXenCore(t *testing.T) {
	t.Parallel()
	xen := sections(".note.Xen", ".xen_prstatus", ".xen_pages", ".xen_pfn")
	_, err := physmemtest.Open(xen)
	require.ErrorIs(t, err, physmem.ErrUnsupported)
	assert.Contains(t, err.Error(), "a Xen core (xl dump-core); have Windows write the dump")
	for _, other := range [][]byte{
		sections(".note", ".data"), sections(".xen_pagesX"), xen[:0x100], xen[:len(xen)-1], sections(),
	} {
		_, err := physmemtest.Open(other)
		var format *physmem.FormatError
		require.ErrorAs(t, err, &format)
		assert.Contains(t, err.Error(), "no program header, so no memory")
	}
	// Numbers that lead nowhere.
	for _, off := range []int{0x28, 0x3a, 0x3c, 0x3e, len(sections(".xen_pages")) - 11 - 40} {
		bad := sections(".xen_pages")
		for i := range 2 {
			bad[off+i] = 0xff
		}
		_, err := physmemtest.Open(bad)
		require.Error(t, err)
	}
}
