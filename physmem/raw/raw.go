package physmem

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"io"
	"slices"
	"strings"

	"windmp/internal/binio"
)

// openRaw opens physical memory without any structure: the file offset is the
// physical address, but for the holes, which the file leaves out.
func openRaw(r io.ReaderAt, size int64, holes []Range) (*content, error) {
	if size <= 0 {
		return nil, unrecognised(r, size, nil)
	}
	f := &rawFile{r: r, size: binio.Uint64(size)}
	if err := f.warn(); err != nil {
		return nil, err
	}
	return f.content(holes)
}

// rawFile is a file of raw memory.
type rawFile struct {
	r    io.ReaderAt
	size uint64
	odd  oddities
}

// content lays the file out around holes, which must be checked.
func (f *rawFile) content(holes []Range) (*content, error) {
	holes = normalize(holes)
	list, used := layAround(f.size, holes)
	if end := list[len(list)-1].End(); end > maxPhysAddr {
		return nil, &FormatError{
			Format: FormatRaw, Field: "file size", Got: fmt.Sprintf("memory up to 0x%x", end),
			Reason: "above the 52 bits of x86 physical memory",
		}
	}
	c := &content{mem: newFlat(f.r, list), raw: f, oddities: f.odd.all()}
	c.describe = fmt.Sprintf("raw memory of 0x%x bytes", f.size)
	if len(used) > 0 {
		c.describe += ", without " + joinRanges(used)
	}
	return c, nil
}

// layAround lays size bytes around sorted, disjoint holes, and returns the
// holes that lie below the end of memory.
func layAround(size uint64, holes []Range) (list []Extent, used []Range) {
	var at, off uint64 // physical address and file offset
	for i := 0; off < size; i++ {
		n := size - off
		if i < len(holes) {
			n = min(n, holes[i].Start-at)
		}
		if n > 0 {
			start, _ := binio.Int64(off) // below size, an int64
			list = append(list, Extent{Range: Range{Start: at, Size: n}, Offset: start})
		}
		at, off = at+n, off+n
		if i < len(holes) && off < size {
			used = append(used, holes[i])
			at = holes[i].End()
		}
	}
	return list, used
}

func joinRanges(list []Range) string {
	s := make([]string, 0, len(list))
	for _, r := range list {
		s = append(s, r.String())
	}
	return strings.Join(s, ", ")
}

// ownMagics are the signatures of the formats that are recognised.
var ownMagics = []magic{
	{bytes: elf.ELFMAG, what: "an ELF file"},
	{bytes: "PAGEDU64", what: "a Windows crash dump"},
	{bytes: "PAGEDUMP", what: "a Windows crash dump of a 32-bit system"},
	{bytes: "KDUMP   ", what: "a kdump-compressed dump"},
	{bytes: "makedumpfile\x00", what: "a kdump-compressed dump in makedumpfile's flattened format"},
}

// warn notes a file that begins as another format does. It may be right all
// the same: nothing keeps such bytes from lying at address 0.
func (f *rawFile) warn() error {
	head := make([]byte, min(f.size, sniffSize))
	if err := binio.ReadFull(f.r, head, 0); err != nil {
		return &ReadError{Err: err}
	}
	what := ""
	for _, m := range ownMagics {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			what = m.what
		}
	}
	// Two bytes are in memory by chance.
	if m, ok := magicOf(head); ok && len(m.bytes) > 2 {
		what = m.what
	}
	if what != "" {
		f.odd.add(OddityForced, 0, "the file begins like %s and is read as raw memory because that was asked for", what)
	}
	return nil
}

// WithHoles returns the raw memory m with other holes, on the same file, which
// stays m's to close. The error is an *OptionError if the holes are none or m
// is of another format.
func (m *Image) WithHoles(holes []Range) (*Image, error) {
	if m.raw == nil {
		return nil, &OptionError{Option: "holes", Reason: fmt.Sprintf("a file of format %s says itself where its memory is", m.format)}
	}
	if err := (Options{Format: FormatRaw, Holes: holes}).Check(); err != nil {
		return nil, err
	}
	c, err := m.raw.content(holes)
	if err != nil {
		return nil, err
	}
	c.format = FormatRaw
	return &Image{size: m.size, content: *c}, nil
}

// A RawHole is a supposed hole of raw memory.
type RawHole struct {
	Range
	Why string
}

// end4G is where PCs go on with the memory that the devices below displaced.
const end4G = 1 << 32

// rawHoles are the holes that machines are known to leave for devices below
// 4 GiB, the more usual ones first. least is the memory size from which on they
// do. Sources: QEMU hw/i386/pc_piix.c and pc_q35.c (3.5 and 2.75 GiB of memory
// and more are split at 3 and 2 GiB); VMware's .vmem files as Volatility reads
// them; VirtualBox VMM/VMMR3/PGM (MM_RAM_HOLE_SIZE_DEFAULT, 512 MiB); Xen
// hvm_info_table.h (HVM_BELOW_4G_RAM_END); Hyper-V's low memory gap of 128 MiB.
var rawHoles = []struct {
	start, least uint64
	why          string
}{
	{0xc0000000, 0xc0000000, "QEMU's pc machine, VMware"},
	{0x80000000, 0xb0000000, "QEMU's q35 machine"},
	{0xe0000000, 0xe0000000, "VirtualBox"},
	{0xf0000000, 0xf0000000, "Xen"},
	{0xf8000000, 0xf8000000, "Hyper-V"},
	{0xb0000000, 0xb0000000, "QEMU's q35 machine before 2.0"},
}

// RawHoles proposes holes for raw memory of size bytes, the more usual ones
// first: none where all of it fits below every machine's hole. Each is only
// right if the guest's own structures are in order with it; without a hole is
// another possibility, as some programs write zeros for it.
func RawHoles(size uint64) []RawHole {
	var list []RawHole
	for _, h := range rawHoles {
		if size > h.start && size >= h.least {
			list = append(list, RawHole{Range: span(h.start, end4G), Why: h.why})
		}
	}
	return slices.Clip(list)
}

// overlap returns two of the ranges that overlap, if there are such.
func overlap(ranges []Range) (a, b Range, found bool) {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Start < sorted[i-1].End() {
			return sorted[i-1], sorted[i], true
		}
	}
	return Range{}, Range{}, false
}
