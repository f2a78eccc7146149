package hyperv

import (
	"encoding/binary"
	"fmt"
	"strings"

	"windmp/internal/binio"
	"windmp/physmem"
)

// keyEntry is the head of a key, 21 bytes; its name follows, and then its value.
type keyEntry struct {
	Type        uint8
	Flags       uint8
	Size        uint32 // of the whole entry; the value may end before it does
	ParentTable uint16 // 0 with ParentAt 0: the root, which is in no table
	ParentAt    uint32 // offset of the parent in its table
	Checksum    uint32 // of this, the name and the value
	Insertion   uint32
	NameSize    uint8 // with its NUL
}

// Types of keys.
const (
	keyFree   = 1
	keyInt    = 3
	keyUint   = 4
	keyDouble = 5
	keyString = 6
	keyArray  = 7
	keyBool   = 8
	keyNode   = 9
)

const (
	keyEntrySize  = 21
	entryChecksum = 12 // offset of Checksum
	numberSize    = 8  // of an integer or a double
	// keyInFile is the flag of a value that is elsewhere in the file.
	keyInFile = 1
)

const (
	// maxKeyTable caps a table of keys; it has 4096 bytes by default, and no object
	// is aligned to more than 64 KiB.
	maxKeyTable = 1 << 20
	// maxKeyBytes caps all of them. A key of a RAM block takes 45 bytes.
	maxKeyBytes = 1 << 29
	// maxNodes caps the nodes, of which a saved state has some dozens.
	maxNodes = 1 << 16
	// maxDepth caps how deep a node lies.
	maxDepth = 16
)

// keyRef names a node by its table and its offset there.
type keyRef struct {
	table uint16
	at    uint32
}

// node is a node of the tree of keys: its parent, and its name if it is one on the way
// to what is looked for.
type node struct {
	parent keyRef
	name   string
}

// key is a key with a value: where it lies in the file.
type key struct {
	dir  string // where it is, "/savedstate/savedVM"; one of dirs
	name string
	kind uint8
	at   uint64 // file offset of its entry
	off  uint64 // file offset of the value
	size uint64 // of the value
}

// dirs are the nodes whose keys are of interest, and those on the way to them: by the
// path of the parent and the name.
var dirs = map[[2]string]string{
	{"", "savedstate"}:        dirSaved,
	{dirSaved, "savedVM"}:     dirVM,
	{"", "configuration"}:     dirConfig,
	{dirConfig, "properties"}: dirProperties,
	{"", "savedVM"}:           dirOld,
	{"", "RamMemoryBlock"}:    dirOld,
}

const (
	dirSaved      = "/savedstate"
	dirVM         = "/savedstate/savedVM"
	dirConfig     = "/configuration"
	dirProperties = "/configuration/properties"
	dirOld        = "/savedVM" // of VM versions up to 5.0
	dirElsewhere  = "?"
)

// readKeys gives all keys below dirs to take, those of a table after each other. It
// goes through the tables twice: a node may stand behind what is in it.
func (f *file) readKeys(tables []keyPlace, take func(k key) error) error {
	t := &keyTree{file: f, nodes: map[keyRef]node{}, memo: map[keyRef]string{{}: ""}}
	if err := t.each(tables, t.addNode); err != nil {
		return err
	}
	t.said = true
	return t.each(tables, func(table keyPlace, at uint32, e keyEntry, b []byte) error {
		if e.Type == keyNode || e.Type == keyFree {
			return nil
		}
		k := key{dir: t.dir(keyRef{e.ParentTable, e.ParentAt}, 0), name: nameOf(b, e), kind: e.Type, at: table.off + uint64(at)}
		if k.dir == dirElsewhere || k.dir == "" {
			return nil
		}
		if !t.locate(&k, e, b) {
			f.odd.Add(physmem.OddityBadSegment, place(k.at), "the value of key %s/%s does not fit its entry", k.dir, k.name)
			return nil
		}
		return take(k)
	})
}

// keyTree finds out where keys are.
type keyTree struct {
	*file
	nodes map[keyRef]node
	memo  map[keyRef]string // directories of nodes
	said  bool              // what is wrong with the tables was said the first time
}

// each gives all entries of the tables to visit: the offset in the table, the head, and
// all bytes of the entry.
func (t *keyTree) each(tables []keyPlace, visit func(table keyPlace, at uint32, e keyEntry, b []byte) error) error {
	total := uint64(0)
	for _, table := range tables {
		if t.ctx.Err() != nil {
			return t.ended()
		}
		n := binio.Clip(table.off, uint64(min(table.size, maxKeyTable)), t.size)
		if total += n; total > maxKeyBytes {
			t.say(physmem.OddityLimit, table.off, "more than %d bytes of keys; the others are left out", maxKeyBytes)
			return nil
		}
		b := make([]byte, n)
		if err := t.read(b, table.off); err != nil {
			return err
		}
		var e keyEntry
		for at := keyTableHeader; len(b)-at >= keyEntrySize; at += int(e.Size) {
			if _, err := binary.Decode(b[at:], binary.LittleEndian, &e); err != nil {
				return err
			}
			if e.Type == 0 && e.Size == 0 {
				break
			}
			if e.Size < keyEntrySize || uint64(e.Size) > uint64(len(b)-at) { //nolint:gosec // a length
				t.say(physmem.OddityBadSegment, table.off+uint64(at), "a key of %d bytes does not fit its table; it and what follows in the table are left out", e.Size)
				break
			}
			if err := visit(table, uint32(at), e, b[at:at+int(e.Size)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// say notes what is wrong with a table, once.
func (t *keyTree) say(kind physmem.OddityKind, at uint64, format string, args ...any) {
	if !t.said {
		t.odd.Add(kind, place(at), format, args...)
	}
}

// nameOf returns a key's name without its NUL, empty if there is none.
func nameOf(b []byte, e keyEntry) string {
	b = b[keyEntrySize:]
	return strings.TrimRight(string(b[:min(len(b), int(e.NameSize))]), "\x00")
}

// addNode takes a node on the first way through the tables.
func (t *keyTree) addNode(table keyPlace, at uint32, e keyEntry, b []byte) error {
	if e.Type != keyNode {
		return nil
	}
	if len(t.nodes) == maxNodes {
		t.odd.Add(physmem.OddityLimit, place(table.off), "more than %d nodes; the others are left out", maxNodes)
		return nil
	}
	n := node{parent: keyRef{e.ParentTable, e.ParentAt}, name: nameOf(b, e)}
	known := false
	for step := range dirs {
		known = known || step[1] == n.name
	}
	if !known {
		n.name = dirElsewhere
	}
	t.nodes[keyRef{table.index, at}] = n
	return nil
}

// dir returns where a node is: one of dirs, empty for the root.
func (t *keyTree) dir(ref keyRef, depth int) string {
	if d, ok := t.memo[ref]; ok {
		return d
	}
	d := dirElsewhere
	if n, ok := t.nodes[ref]; ok && depth < maxDepth {
		if known, ok := dirs[[2]string{t.dir(n.parent, depth+1), n.name}]; ok {
			d = known
		}
		t.memo[ref] = d
	}
	return d
}

// locate sets where the value of a key is, and says so of a checksum that is wrong. It
// is false if the entry has no room for what it must have.
func (t *keyTree) locate(k *key, e keyEntry, b []byte) bool {
	const pointer, boolean, length = 12, 4, 4
	inEntry := keyEntrySize + int(e.NameSize)
	if inEntry > len(b) {
		return false
	}
	value := b[inEntry:]
	k.off = k.at + uint64(inEntry)
	size := uint64(0) // in the entry
	switch {
	case e.Flags&keyInFile != 0:
		size = pointer
		if len(value) < pointer {
			return false
		}
		k.size, k.off = uint64(binary.LittleEndian.Uint32(value)), binary.LittleEndian.Uint64(value[length:])
	case e.Type == keyInt, e.Type == keyUint, e.Type == keyDouble:
		size, k.size = numberSize, numberSize
	case e.Type == keyBool:
		size, k.size = boolean, boolean
	case e.Type == keyString, e.Type == keyArray:
		if len(value) < length {
			return false
		}
		k.size = uint64(binary.LittleEndian.Uint32(value))
		k.off += length
		size = length + k.size
	default:
		return false
	}
	if size > uint64(len(value)) {
		return false
	}
	if want := sum(b[:inEntry+int(size)], entryChecksum); want != e.Checksum {
		t.odd.Add(physmem.OddityBadSegment, place(k.at), "key %s/%s has a wrong checksum; it is used all the same", k.dir, k.name).Because("checksum 0x%x, its bytes give 0x%x", e.Checksum, want)
	}
	return true
}

// number returns the value of a key that is a whole number, 0 for others.
func (f *file) number(k key) (uint64, error) {
	if k.kind != keyInt && k.kind != keyUint || k.size != numberSize || !binio.Within(k.off, k.size, f.size) {
		return 0, nil
	}
	b := make([]byte, numberSize)
	if err := f.read(b, k.off); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// text returns the value of a key that is a string of at most max letters of ASCII,
// empty for others.
func (f *file) text(k key, limit uint64) (string, error) {
	if k.kind != keyString || k.size > 2*limit || !binio.Within(k.off, k.size, f.size) {
		return "", nil
	}
	b := make([]byte, k.size)
	if err := f.read(b, k.off); err != nil {
		return "", err
	}
	var s strings.Builder
	for ; len(b) >= 2; b = b[2:] {
		if c := binary.LittleEndian.Uint16(b); c >= ' ' && c <= '~' {
			s.WriteByte(byte(c))
		}
	}
	return s.String(), nil
}

// String names a key in errors.
func (k key) String() string { return fmt.Sprintf("%s/%s", k.dir, k.name) }
