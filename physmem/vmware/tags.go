package vmware

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"windmp/internal/binio"
	"windmp/physmem"
)

// Limits of what is read of a state file. Machines have about a hundred groups, and
// some hundred tags for a processor.
const (
	maxGroups = 1 << 12
	maxTags   = 1 << 20
	// maxValue is the largest block whose bytes are a value, and not memory or a
	// device's.
	maxValue = 1 << 9
	// window is how much of the file is read at a time.
	window = 1 << 16
)

// The header and its groups (VMware's vmware_vmss.h in crash, cptdumpheader and
// cptgroupdesc).
const (
	headerSize = 12
	groupSize  = 80
	groupName  = 64
)

// magic is what the first word of a state file says.
type magic struct {
	// narrow says that lengths of blocks have 32 bits (Volatility; crash does not
	// read such files).
	narrow bool
	// restored says that the machine was resumed from the state.
	restored bool
	name     string
}

func (m magic) known() bool { return m.name != "" }

// magics are VMware's own names (CPTDUMP_OLD_MAGIC_NUMBER and so on), but for the first,
// which only Volatility knows.
var magics = map[uint32]magic{
	0xbed2bed0: {name: "old", narrow: true},
	0xbed0bed0: {name: "old", narrow: true},
	0xbed2bed2: {name: "plain"},
	0xbed3bed3: {name: "partial"},
	0xbad1bad1: {name: "restored", restored: true},
	0xbad2bad2: {name: "not to be restored"},
}

// readMagic reads the first word of a file, 0 of a shorter one.
func readMagic(src physmem.Source) (uint32, error) {
	const size = 4
	b, err := physmem.Head(src, size)
	if err != nil || len(b) < size {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// A group is a list of tags.
type group struct {
	name string
	at   uint64
}

// A tag is a value with a name.
type tag struct {
	at      uint64
	name    string
	index   [3]uint32
	indices int
	// value are its bytes, nil of a block that is compressed or larger than maxValue.
	value []byte
	// Of a block: where its bytes are and how many, in the file and unpacked.
	block, compressed    bool
	data, size, unpacked uint64
}

// offset is the file offset of the tag.
func (t *tag) offset() int64 { return int64(t.at) } //nolint:gosec // inside the file

// number is the tag's value as a number.
func (t *tag) number() (uint64, bool) {
	if len(t.value) == 0 || len(t.value) > 8 {
		return 0, false
	}
	var b [8]byte
	copy(b[:], t.value)
	return binary.LittleEndian.Uint64(b[:]), true
}

// errEnd says that a structure goes past the end of the file.
var errEnd = errors.New("the file ends in it")

// A scanner reads a file from front to back, in windows.
type scanner struct {
	r        io.ReaderAt
	size, at uint64
	buf      []byte
	bufAt    uint64
}

// next returns the next n bytes, of which there may be window at most; they are valid
// until the next call.
func (s *scanner) next(n uint64) ([]byte, error) {
	if !binio.Within(s.at, n, s.size) {
		return nil, errEnd
	}
	if s.at < s.bufAt || !binio.Within(s.at-s.bufAt, n, uint64(len(s.buf))) {
		if s.buf == nil {
			s.buf = make([]byte, window)
		}
		s.buf = s.buf[:min(window, s.size-s.at)]
		s.bufAt = s.at
		off, _ := binio.Int64(s.at) // inside the file
		if err := binio.ReadFull(s.r, s.buf, off); err != nil {
			s.buf = s.buf[:0]
			return nil, &physmem.ReadError{Offset: off, Err: err}
		}
	}
	b := s.buf[s.at-s.bufAt:][:n]
	s.at += n
	return b, nil
}

// number reads a number of n bytes.
func (s *scanner) number(n uint64) (uint64, error) {
	b, err := s.next(n)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// Sizes of a tag's value that say that a block follows (TAG_ISBLOCK and
// TAG_ISBLOCK_COMPRESSED).
const (
	sizeMask       = 0x3f
	sizeBlock      = 0x3f
	sizeCompressed = 0x3e
	indexShift     = 6
)

// tag reads the tag at the scanner's place and moves behind it; nil at the end of a
// group.
func (s *scanner) tag(narrow bool) (*tag, error) {
	t := &tag{at: s.at}
	head, err := s.next(2)
	if err != nil {
		return nil, err
	}
	kind, nameLen := head[0], uint64(head[1])
	if kind == 0 && nameLen == 0 {
		return nil, nil //nolint:nilnil // the end
	}
	name, err := s.next(nameLen)
	if err != nil {
		return nil, err
	}
	t.name = string(name)
	t.indices = int(kind >> indexShift)
	for i := range t.indices {
		v, err := s.number(4)
		if err != nil {
			return nil, err
		}
		t.index[i] = uint32(v) //nolint:gosec // of 4 bytes
	}
	size := uint64(kind & sizeMask)
	if size == sizeBlock || size == sizeCompressed {
		return t, s.block(t, size == sizeCompressed, narrow)
	}
	value, err := s.next(size)
	t.value = append([]byte(nil), value...)
	return t, err
}

// block reads a block's head, and its bytes if they are few, and moves behind it.
func (s *scanner) block(t *tag, compressed, narrow bool) error {
	t.block, t.compressed = true, compressed
	width := uint64(8)
	if narrow {
		width = 4
	}
	var pad uint64
	for _, f := range []struct {
		to *uint64
		n  uint64
	}{{&t.size, width}, {&t.unpacked, width}, {&pad, 2}} {
		v, err := s.number(f.n)
		if err != nil {
			return err
		}
		*f.to = v
	}
	if !binio.Within(s.at, pad, s.size) {
		return errEnd
	}
	s.at += pad
	t.data = s.at
	if !compressed && t.size <= maxValue {
		value, err := s.next(t.size)
		t.value = append([]byte(nil), value...)
		return err
	}
	s.at += binio.Clip(t.data, t.size, s.size)
	return nil
}

// readGroups reads the header's table of groups.
func (s *state) readGroups(src *scanner) ([]group, error) {
	src.at = 8
	count, err := src.number(4)
	if err != nil {
		return nil, s.cutIn("header", 0, err)
	}
	if count > maxGroups {
		return nil, &physmem.FormatError{
			Format: physmem.FormatVMware, Offset: 8, Field: "header: number of groups",
			Got: fmt.Sprintf("0x%x", count), Want: fmt.Sprintf("at most 0x%x", maxGroups),
		}
	}
	var list []group
	behind := headerSize + count*groupSize
	for range count {
		at := src.at
		b, err := src.next(groupSize)
		if err != nil {
			return list, s.cutIn("table of groups", at, err)
		}
		g := group{name: text(b[:groupName]), at: binary.LittleEndian.Uint64(b[groupName:])}
		switch {
		case g.name == "":
			continue
		case g.at < behind || g.at >= s.size:
			s.misplaced(g, at)
			continue
		}
		list = append(list, g)
	}
	return list, nil
}

// misplaced notes a group that is not where groups can be. One behind the end is what
// a file that was cut has.
func (s *state) misplaced(g group, at uint64) {
	kind := physmem.OddityBadSegment
	if g.at >= s.size {
		kind = physmem.OddityTruncated
	}
	off, _ := binio.Int64(at)
	if kind == physmem.OddityTruncated {
		s.odd.Add(kind, off, "%s", physmem.Cut{Size: s.size}).Because("group %q is at 0x%x", g.name, g.at)
		return
	}
	s.odd.Add(kind, off, "group %q is where no group can be; it is left out", g.name).Because("it is at 0x%x", g.at)
}

// cutIn notes a structure that the file ends in: what is before it is used. Another error
// is returned.
func (s *state) cutIn(what string, at uint64, err error) error {
	if !errors.Is(err, errEnd) {
		return err
	}
	off, _ := binio.Int64(at)
	s.odd.Add(physmem.OddityTruncated, off, "%s (in the %s)", physmem.Cut{Size: s.size}, what)
	return nil
}

// text is what a field of fixed size holds up to its first NUL, if it can be shown.
func text(b []byte) string {
	for i, c := range b {
		switch {
		case c == 0:
			return string(b[:i])
		case c < ' ' || c > '~':
			return ""
		}
	}
	return string(b)
}
