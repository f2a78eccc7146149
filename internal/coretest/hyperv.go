package coretest

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strconv"
	"testing"
	"unicode/utf16"

	"windmp/internal/testheap"
	"windmp/physmem"
)

// HyperV says how a saved state of Hyper-V is written. The zero value has plain RAM
// blocks and one VTL.
type HyperV struct {
	// Pack compresses the RAM blocks that become smaller by it.
	Pack bool
	// VBS writes the processors as a guest with virtualization-based security has
	// them: each with a VTL 1, whose registers are others.
	VBS bool
	// NoMSRs leaves out the MSRs, as openvmm does.
	NoMSRs bool
	// OSID is what the guest told the host that it is.
	OSID uint64
	// Log are changes in the replay log that the file has not got.
	Log int
	// Applied are changes in the replay log that the file has.
	Applied int
	// Keys changes the keys before they are written, as path and value: an int64, a
	// string, or bytes. One of value nil is left out.
	Keys map[string]any
}

// Write returns the file that Hyper-V would write of the guest. It differs from what
// openvmm writes in all that readers must not rely on: the copy of the header that
// counts is the second one, tables of objects are chained, an older state of a key
// table lies about, nodes stand behind their children, and entries are longer than
// what is in them, or free.
//
// Source of the layout: openvmm's support/hvs_file/FORMAT.md, vmm_core/hyperv_dump and
// vm/hv1/hvdef/src/save_restore.rs; of compressed blocks [MS-XCA] 2.3 and P. Beyer's
// snapshot tool.
func (o HyperV) Write(tb testing.TB, m *physmem.Image, cpus []physmem.CPU) []byte {
	tb.Helper()
	return o.WriteWith(tb, o.Memory(tb, m), cpus)
}

// HyperVMemory is the memory of a saved state, by the paths of its parts.
type HyperVMemory map[string][]byte

// Memory is an image's memory as the state has it, which may be written with several sets
// of processors: to pack it takes most of the time.
func (o HyperV) Memory(tb testing.TB, m *physmem.Image) HyperVMemory {
	tb.Helper()
	values := HyperVMemory{}
	block := 0
	for i, r := range m.Ranges() {
		start, end := r.Start&^0xfff, (r.End()+0xfff)&^0xfff
		pages := (end - start) / 0x1000
		d := make([]byte, 48)
		le.PutUint32(d, 3)
		for k, v := range []uint64{pages, uint64(block) * 256, start / 0x1000} {
			le.PutUint64(d[8+8*k:], v)
		}
		values["savedstate/RamMemoryBlock"+strconv.Itoa(i)] = d
		for at := start; at < end; at += 1 << 20 {
			mib := testheap.Bytes(tb, 1<<20)
			from, to := max(at, r.Start), min(at+1<<20, r.End())
			clear(mib[:from-at])
			clear(mib[to-at:])
			if _, err := m.ReadAt(mib[from-at:to-at], int64(from)); err != nil {
				tb.Fatal(err)
			}
			if o.Pack {
				if packed := hvPackBlock(mib); len(packed) < len(mib) {
					mib = packed
				}
			}
			values["savedstate/RamBlock"+strconv.Itoa(block)] = mib
			block++
		}
	}
	return values
}

// WriteWith is [HyperV.Write] of memory that is packed.
func (o HyperV) WriteWith(tb testing.TB, memory HyperVMemory, cpus []physmem.CPU) []byte {
	tb.Helper()
	size := hvRoom
	values := map[string]any{
		"savedstate/VmVersion":               int64(0x0a00),
		"configuration/properties/version":   int64(0x0a00),
		"savedstate/type":                    "Normal",
		"savedstate/savedVM/partition_state": o.state(cpus),
		"savedstate/savedVM/other":           []byte("not of interest"),
	}
	for path, v := range memory {
		values[path] = v
		size += len(v)
	}
	s := &hvStore{data: testheap.Bytes(tb, size)[:0x3000]}
	clear(s.data)
	for path, v := range o.Keys {
		values[path] = v
	}
	s.keys(values)
	s.finish(o)
	return s.data
}

// hvRoom is what a file takes beside the memory, in bytes: where that is not enough, it
// grows.
const hvRoom = 4 << 20

// hvStore is a file of HyperVStorage while it is written.
type hvStore struct {
	data    []byte
	objects [][3]uint64 // type, offset, size
}

// add appends an object, aligned to a page.
func (s *hvStore) add(typ uint64, b []byte) uint64 {
	at := uint64(len(s.data))
	size := uint64(len(b)+0xfff) &^ 0xfff
	s.data = append(append(s.data, b...), make([]byte, size-uint64(len(b)))...)
	s.objects = append(s.objects, [3]uint64{typ, at, size})
	return at
}

// hvSum puts the checksum of b into its four bytes at an offset.
func hvSum(b []byte, at int) {
	le.PutUint32(b[at:], 0)
	le.PutUint32(b[at:], crc32.ChecksumIEEE(b))
}

// hvKey is a key with its place in the tables.
type hvKey struct {
	path, parent, name string
	kind, flags        byte
	value              []byte
	table              int
	at, size           int
}

// keys writes the tables of keys.
func (s *hvStore) keys(values map[string]any) {
	var list []hvKey
	nodes := map[string]bool{}
	for path, v := range values {
		k := hvKey{path: path}
		switch v := v.(type) {
		case nil:
			continue
		case int64:
			k.kind, k.value = 3, le.AppendUint64(nil, uint64(v))
		case string:
			k.kind = 6
			text := utf16.Encode([]rune(v + "\x00"))
			k.value, _ = binary.Append(le.AppendUint32(nil, uint32(2*len(text))), le, text)
		case []byte:
			k.kind = 7
			if len(v) >= 2048 {
				k.flags = 1
				k.value = le.AppendUint64(le.AppendUint32(nil, uint32(len(v))), s.add(3, v))
			} else {
				k.value = append(le.AppendUint32(nil, uint32(len(v))), v...)
			}
		}
		list = append(list, k)
		for i := range path {
			if path[i] == '/' {
				nodes[path[:i]] = true
			}
		}
	}
	slices.SortFunc(list, func(a, b hvKey) int { return cmp.Compare(a.path, b.path) })
	sorted := make([]string, 0, len(nodes))
	for path := range nodes {
		sorted = append(sorted, path)
	}
	slices.Sort(sorted)
	for _, path := range sorted {
		list = append(list, hvKey{path: path, kind: 9, value: make([]byte, 12)})
	}
	s.writeKeys(list)
}

// writeKeys lays keys out in tables of 4096 bytes.
func (s *hvStore) writeKeys(list []hvKey) {
	const tableSize = 4096
	place := map[string]*hvKey{}
	table, at := 1, 10
	for i := range list {
		k := &list[i]
		cut := -1
		for j := range k.path {
			if k.path[j] == '/' {
				cut = j
			}
		}
		k.name = k.path[cut+1:]
		k.parent = k.path[:max(cut, 0)]
		k.size = 21 + len(k.name) + 1 + len(k.value)
		if i%5 == 3 {
			k.size += 7 // longer than what is in it
		}
		if tableSize-at < k.size+40 {
			table, at = table+1, 10
		}
		k.table, k.at = table, at
		at += k.size
		place[k.path] = k
	}
	for n, i := 1, 0; n <= table; n++ {
		b := make([]byte, tableSize)
		end := 10
		for ; i < len(list) && list[i].table == n; i++ {
			k := &list[i]
			e := b[k.at:][:21]
			e[0], e[1], e[20] = k.kind, k.flags, byte(len(k.name)+1)
			le.PutUint32(e[2:], uint32(k.size))
			if p := place[k.parent]; p != nil {
				le.PutUint16(e[6:], uint16(p.table))
				le.PutUint32(e[8:], uint32(p.at))
			}
			le.PutUint32(e[16:], uint32(i+1))
			copy(b[k.at+21:], k.name)
			copy(b[k.at+21+len(k.name)+1:], k.value)
			hvSum(b[k.at:][:21+len(k.name)+1+len(k.value)], 12)
			end = k.at + k.size
		}
		b[end] = 1 // free
		le.PutUint32(b[end+2:], uint32(tableSize-end))
		s.addKeys(b, n)
	}
}

// addKeys adds a table, and for the first one an older state of it, in which nothing
// is where it was.
func (s *hvStore) addKeys(b []byte, index int) {
	le.PutUint16(b, 2)
	le.PutUint16(b[2:], uint16(index))
	if index == 1 {
		old := slices.Clone(b)
		le.PutUint16(old[4:], 0xffff) // one before 0
		hvSum(old[:10], 6)
		copy(old[31:], "XXXXXX")
		s.add(2, old)
		s.objects = append(s.objects, [3]uint64{4, 0x3000, 0x1000})
	}
	hvSum(b[:10], 6)
	s.add(2, b)
}

// finish writes the tables of objects, the replay log and both headers.
func (s *hvStore) finish(o HyperV) {
	const first, more = 16, 227
	objects := s.objects
	room, at := first, 0x2000
	for {
		n := min(len(objects), room-1)
		t := make([]byte, 8+18*room)
		le.PutUint32(t, 0x01110001)
		le.PutUint32(t[4:], uint32(room))
		put := func(i int, typ byte, off, size uint64) {
			e := t[8+18*i:][:18]
			e[0], e[17] = typ, 1
			le.PutUint64(e[5:], off)
			le.PutUint32(e[13:], uint32(size))
			hvSum(e, 1)
		}
		for i, x := range objects[:n] {
			put(i, byte(x[0]), x[1], x[2])
		}
		objects = objects[n:]
		next := len(s.data)
		if len(objects) > 0 {
			put(room-1, 1, uint64(next), 0x1000)
			s.data = append(s.data, make([]byte, 0x1000)...)
		}
		copy(s.data[at:], t)
		if len(objects) == 0 {
			break
		}
		room, at = more, next
	}
	log := len(s.data)
	s.data = append(s.data, s.log(o)...)
	for i, seq := range []uint16{0xffff, 0} {
		h := s.data[i*0x1000:][:46]
		le.PutUint32(h, 0x01282014)
		le.PutUint16(h[8:], seq)
		le.PutUint32(h[10:], 0x400)
		le.PutUint32(h[22:], 0x1000)
		le.PutUint64(h[26:], uint64(log))
		le.PutUint64(h[34:], uint64(len(s.data)-log))
		le.PutUint32(h[42:], 0x1000)
		if i == 0 {
			le.PutUint64(h[26:], 0) // of the older one
		}
		hvSum(h, 4)
	}
}

// log is the replay log.
func (s *hvStore) log(o HyperV) []byte {
	n := o.Log + o.Applied
	b := make([]byte, 0x2000)
	le.PutUint32(b, 0x01110003)
	le.PutUint32(b[8:], uint32(n))
	le.PutUint32(b[13:], 145)
	hvSum(b[:34], 4)
	for i := range n {
		e := b[34+28*i:][:28]
		to, from := uint64(0x2000+0x10*i), uint64(0x1000+0x10*i)
		copy(b[from:][:0x10], s.data[to:])
		if i >= o.Applied {
			b[from] ^= 0xff
		}
		le.PutUint64(e[4:], to)
		le.PutUint32(e[12:], 0x10)
		le.PutUint64(e[16:], from)
		le.PutUint32(e[24:], crc32.ChecksumIEEE(b[from:][:0x10]))
		hvSum(e, 0)
	}
	return b
}
