package guestsim

import (
	"encoding/binary"
	"fmt"
)

// Bits of page-table entries (Intel SDM vol. 3, 4.5).
const (
	pteTable = 0x63               // present, writable, accessed, dirty
	pteLeaf  = 0x163              // the same, global
	pteLarge = 1 << 7             // a leaf above the last level
	pteNX    = 1 << 63            // no execute
	pteSoft  = 0x07f0000000000800 // bits 52-58 and 11, which Windows uses
	pteAddr  = 0x000ffffffffff000
)

// mapping is one leaf: Size bytes at VA are those at PA.
type mapping struct{ VA, PA, Size uint64 }

// tables is one set of page tables under construction.
type tables struct {
	mem    *memory
	root   uint64
	levels int
	soft   uint64
	maps   []mapping
}

func newTables(mem *memory, root uint64, levels int, soft uint64) *tables {
	return &tables{mem: mem, root: root, levels: levels, soft: soft}
}

// slot is the physical address of va's entry in the table of a level (1 is the
// last), building the tables above it.
func (t *tables) slot(va uint64, level int, build bool) uint64 {
	table := t.root
	for l := t.levels; l > level; l-- {
		at := table + index(va, l)*8
		e := t.entry(at)
		if e&1 == 0 {
			if !build {
				panic(fmt.Sprintf("guestsim: %#x has no page table of level %d", va, l-1))
			}
			e = t.mem.alloc() | pteTable
			t.set(at, e)
		}
		table = e & pteAddr
	}
	return table + index(va, level)*8
}

func index(va uint64, level int) uint64 { return va >> (12 + 9*(level-1)) & 511 }

func (t *tables) entry(at uint64) uint64 {
	var b [8]byte
	if _, err := t.mem.read(b[:], at); err != nil {
		panic(err)
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (t *tables) set(at, e uint64) {
	t.mem.write(at, binary.LittleEndian.AppendUint64(nil, e))
}

// page maps the 4 KiB page of va to a new physical page unless it is mapped.
func (t *tables) page(va uint64) uint64 {
	at := t.slot(va, 1, true)
	if e := t.entry(at); e&1 != 0 {
		return e & pteAddr
	}
	pa := t.mem.alloc()
	t.leaf(va, pa, 1, pteLeaf|pteNX)
	return pa
}

// leaf maps the page of va at a level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB) to pa.
func (t *tables) leaf(va, pa uint64, level int, bits uint64) {
	size := uint64(pageSize) << (9 * (level - 1))
	if level > 1 {
		bits |= pteLarge
	}
	t.set(t.slot(va, level, true), pa&^(size-1)|bits|t.soft)
	t.maps = append(t.maps, mapping{va &^ (size - 1), pa &^ (size - 1), size})
}

// translate follows 4 KiB mappings of tables that this package built.
func (t *tables) translate(va uint64) (uint64, bool) {
	table := t.root
	for l := t.levels; l >= 1; l-- {
		e := t.entry(table + index(va, l)*8)
		if e&1 == 0 {
			return 0, false
		}
		if l == 1 || l <= 3 && e&pteLarge != 0 {
			size := uint64(pageSize) << (9 * (l - 1))
			return e&pteAddr&^(size-1) | va&(size-1), true
		}
		table = e & pteAddr
	}
	return 0, false
}

// Map gives the pages of [va, va+n) physical memory where they have none.
func (g *Guest) Map(va, n uint64) {
	for p := va &^ (pageSize - 1); p <= va+n-1; p += pageSize {
		g.tables.page(p)
	}
}

// MapTo maps the page of va at a level (1: 4 KiB, 2: 2 MiB, 3: 1 GiB) to pa.
func (g *Guest) MapTo(va, pa uint64, level int) { g.tables.leaf(va, pa, level, pteLeaf|pteNX) }

// PTE is the physical address of va's last-level entry.
func (g *Guest) PTE(va uint64) uint64 { return g.tables.slot(va, 1, false) }

// setPTE replaces va's last-level entry.
func (g *Guest) setPTE(va, entry uint64) { g.tables.set(g.PTE(va), entry) }

// Unmap clears va's last-level entry.
func (g *Guest) Unmap(va uint64) { g.setPTE(va, 0) }

// Transition makes va's page a transition page: not present, bit 11 set, its
// contents still in the physical page.
func (g *Guest) Transition(va uint64) {
	at := g.PTE(va)
	g.tables.set(at, g.tables.entry(at)&pteAddr|0x8c0)
}

// Pagefile makes va's page one that is in the pagefile.
func (g *Guest) Pagefile(va uint64) { g.setPTE(va, 0x0001234500000080) }

// PA is the physical address of va; it panics where nothing is mapped.
func (g *Guest) PA(va uint64) uint64 {
	pa, ok := g.tables.translate(va)
	if !ok {
		panic(fmt.Sprintf("guestsim: %#x is not mapped", va))
	}
	return pa
}

// Write writes to mapped guest-virtual memory, across pages.
func (g *Guest) Write(va uint64, b []byte) {
	for len(b) > 0 {
		n := min(uint64(len(b)), pageSize-va%pageSize)
		g.mem.write(g.PA(va), b[:n])
		b, va = b[n:], va+n
	}
}

// Write64 writes a qword to mapped guest-virtual memory.
func (g *Guest) Write64(va, v uint64) { g.Write(va, binary.LittleEndian.AppendUint64(nil, v)) }

// Write32 writes a dword to mapped guest-virtual memory.
func (g *Guest) Write32(va uint64, v uint32) {
	g.Write(va, binary.LittleEndian.AppendUint32(nil, v))
}

// Write16 writes a word to mapped guest-virtual memory.
func (g *Guest) Write16(va uint64, v uint16) {
	g.Write(va, binary.LittleEndian.AppendUint16(nil, v))
}

// Read reads n bytes of mapped guest-virtual memory.
func (g *Guest) Read(va uint64, n int) []byte {
	out := make([]byte, 0, n)
	for len(out) < n {
		at := va + uint64(len(out))
		k := min(n-len(out), int(pageSize-at%pageSize))
		out = append(out, g.ReadPhys(g.PA(at), k)...)
	}
	return out
}

// Read64 reads a qword of mapped guest-virtual memory.
func (g *Guest) Read64(va uint64) uint64 { return binary.LittleEndian.Uint64(g.Read(va, 8)) }

// put maps and writes: what the builder itself uses.
func (g *Guest) put(va uint64, b []byte) {
	if len(b) == 0 {
		return
	}
	g.Map(va, uint64(len(b)))
	g.Write(va, b)
}

func (g *Guest) put64(va uint64, v ...uint64) {
	for i, x := range v {
		g.put(va+uint64(i)*8, binary.LittleEndian.AppendUint64(nil, x))
	}
}

func (g *Guest) put32(va uint64, v uint32) { g.put(va, binary.LittleEndian.AppendUint32(nil, v)) }

func (g *Guest) put16(va uint64, v uint16) { g.put(va, binary.LittleEndian.AppendUint16(nil, v)) }
