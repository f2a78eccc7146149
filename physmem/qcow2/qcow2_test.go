package qcow2_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
)

// stream is a migration stream of a guest of 1 MiB: every other page is zeros, the
// others tell their place.
func stream() []byte {
	var w bytes.Buffer
	be := func(v ...any) {
		for _, x := range v {
			_ = binary.Write(&w, binary.BigEndian, x)
		}
	}
	w.WriteString("QEVM\x00\x00\x00\x03")
	be(uint8(1), uint32(2), uint8(3), []byte("ram"), uint32(0), uint32(4))
	be(uint64(1<<20|4), uint8(6), []byte("pc.ram"), uint64(1<<20), uint64(0x10), []byte("\x7e\x00\x00\x00\x02"))
	be(uint8(3), uint32(2))
	for page := range uint64(0x100) {
		flags, name := uint64(0x20), ""
		if page == 0 {
			flags, name = 0, "\x06pc.ram"
		}
		if page%2 == 0 {
			be(page<<12|flags|2, []byte(name), uint8(0))
			continue
		}
		be(page<<12|flags|8, []byte(name), fixture.Pattern(page<<12, 4096))
	}
	be(uint64(0x10), []byte("\x7e\x00\x00\x00\x02"))
	be(uint8(4), uint32(9), uint8(11), []byte("mc146818rtc"), uint32(0), uint32(3), make([]byte, 160), []byte("\x7e\x00\x00\x00\x09"))
	be(uint8(0))
	return w.Bytes()
}

// An image lays a qcow2 image with snapshots out, of which each has the same disk.
type image struct {
	version, clusterBits uint32
	extended             bool // L2 entries
	diskSize             uint64
	snapshots            []snap
	features             uint64 // incompatible ones
	crypt                uint32
}

type snap struct {
	id, name string
	state    []byte
	extra    int // bytes of extra data
}

// build lays the clusters out in an order of its own, so that nothing lies together by
// chance.
func (i image) build() []byte {
	be := binary.BigEndian
	size := 1 << i.clusterBits
	entry := 8
	if i.extended {
		entry = 16
		i.features |= 1 << 4
	}
	perTable := size / entry
	covers := uint64(size) * uint64(perTable)
	first := int((i.diskSize + covers - 1) / covers)
	file := make([]byte, max(size, 0x1000))
	alloc := func(n int) int { // whole clusters
		at := (len(file) + size - 1) / size * size
		file = append(file, make([]byte, at+n-len(file))...)
		return at
	}
	var table []byte
	rnd := rand.New(rand.NewPCG(1, uint64(size)))
	for _, s := range i.snapshots {
		clusters := (len(s.state) + size - 1) / size
		places := make([]int, clusters)
		for _, c := range rnd.Perm(clusters) {
			part := s.state[c*size : min((c+1)*size, len(s.state))]
			if bytes.Count(part, []byte{0}) == len(part) {
				continue // not allocated
			}
			places[c] = alloc(size)
			copy(file[places[c]:], part)
		}
		l1 := make([]byte, 8*(first+(clusters+perTable-1)/perTable))
		for t := range (clusters + perTable - 1) / perTable {
			l2 := alloc(size)
			be.PutUint64(l1[8*(first+t):], uint64(l2)|1<<63)
			for e := range min(perTable, clusters-t*perTable) {
				place := places[t*perTable+e]
				if place == 0 {
					continue
				}
				be.PutUint64(file[l2+e*entry:], uint64(place)|1<<63)
				if i.extended {
					bitmap := uint64(0xffffffff)
					for b := range 32 { // subclusters of zeros: unallocated, or marked, with other data there
						sub := file[place+b*size/32:][:size/32]
						if bytes.Count(sub, []byte{0}) != len(sub) {
							continue
						}
						if sub[0] = 0xee; b%2 == 0 {
							bitmap &^= 1 << b
						} else {
							bitmap |= 1 << (32 + b)
						}
					}
					be.PutUint64(file[l2+e*entry+8:], bitmap)
				}
			}
		}
		l1At := alloc(len(l1))
		copy(file[l1At:], l1)
		e := make([]byte, 40+s.extra)
		be.PutUint64(e, uint64(l1At))
		be.PutUint32(e[8:], uint32(len(l1)/8))
		be.PutUint16(e[12:], uint16(len(s.id)))
		be.PutUint16(e[14:], uint16(len(s.name)))
		be.PutUint32(e[16:], 1_700_000_000)
		be.PutUint32(e[32:], uint32(len(s.state)))
		be.PutUint32(e[36:], uint32(s.extra))
		if s.extra >= 16 {
			be.PutUint64(e[40:], uint64(len(s.state)))
			be.PutUint64(e[48:], i.diskSize)
		}
		e = append(append(e, s.id...), s.name...)
		table = append(table, append(e, make([]byte, -len(e)&7)...)...)
	}
	at := alloc(len(table) + 64)
	copy(file[at:], table)
	copy(file, "QFI\xfb")
	be.PutUint32(file[4:], i.version)
	be.PutUint32(file[20:], i.clusterBits)
	be.PutUint64(file[24:], i.diskSize+size64(i.version)) // it was resized since, in version 3
	be.PutUint32(file[32:], i.crypt)
	be.PutUint32(file[60:], uint32(len(i.snapshots)))
	be.PutUint64(file[64:], uint64(at))
	if i.version >= 3 {
		be.PutUint64(file[72:], i.features)
		be.PutUint32(file[100:], 104)
	}
	return file
}

// size64 is how much larger a disk is than when its snapshot was made: only version 3
// keeps the older size.
func size64(version uint32) uint64 {
	if version < 3 {
		return 0
	}
	return 1 << 30
}

func one(state []byte) []snap { return []snap{{id: "1", name: "before", state: state, extra: 24}} }

// shapes are images of all cluster sizes.
func shapes() map[string]image {
	s := stream()
	return map[string]image{
		"64 KiB":      {version: 3, clusterBits: 16, diskSize: 1 << 30, snapshots: one(s)},
		"512":         {version: 3, clusterBits: 9, diskSize: 1<<20 + 512, snapshots: one(s)},
		"2 MiB":       {version: 3, clusterBits: 21, diskSize: 5 << 20, snapshots: one(s)},
		"extended":    {version: 3, clusterBits: 14, extended: true, diskSize: 1<<30 + 7, snapshots: one(s)},
		"version 2":   {version: 2, clusterBits: 12, diskSize: 1 << 24, snapshots: []snap{{id: "1", name: "before", state: s}}},
		"one of two":  {version: 3, clusterBits: 16, diskSize: 1 << 20, snapshots: append(one(s), snap{id: "2", name: "disk only", extra: 24})},
		"dirty image": {version: 3, clusterBits: 16, diskSize: 0, features: 1, snapshots: one(s)},
	}
}

func byteAt(pa uint64) byte {
	if pa>>12%2 == 0 {
		return 0
	}
	return fixture.PatternAt(pa)
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for name, i := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := physmemtest.Open(i.build())
			require.NoError(t, err)
			assert.Equal(t, physmem.FormatQcow2, m.Format())
			assert.Empty(t, m.Oddities())
			assert.Equal(t, `qcow2 image, snapshot "before" of 2023-11-14 22:13:20, QEMU migration stream`, m.Describe())
			assert.Equal(t, physmem.State{Product: "QEMU", Snapshot: "before", Saved: time.Unix(1_700_000_000, 0).UTC()}, m.State())
			require.NoError(t, physmemtest.Test(m, []physmem.Range{{Size: 1 << 20}}, byteAt))
			fixture.CheckReads(t, m)
		})
	}
}

// TestChoice: of several snapshots one has to be named, by its name before its id.
func TestChoice(t *testing.T) {
	t.Parallel()
	s := stream()
	file := image{version: 3, clusterBits: 16, diskSize: 1 << 20, snapshots: []snap{
		{id: "1", name: "2", state: s, extra: 24}, {id: "2", name: "b", state: s, extra: 24}, {id: "3", name: "disk only", extra: 24},
	}}.build()
	openNamed := func(name string) (*physmem.Image, error) {
		return physmemtest.OpenReader(bytes.NewReader(file), int64(len(file)), open.Options{Snapshot: name})
	}
	for name, want := range map[string]string{"2": `snapshot "2"`, "b": `snapshot "b"`, "1": `snapshot "2"`} {
		m, err := openNamed(name)
		require.NoError(t, err)
		assert.Contains(t, m.Describe(), want)
	}
	for name, want := range map[string]string{
		"":          `of several snapshots, name one of them: "2" (id 1) of 2023-11-14 22:13:20, 514 KiB, "b" (id 2)`,
		"disk only": `no memory of a snapshot "disk only", but of "2" (id 1)`,
	} {
		_, err := openNamed(name)
		var several *physmem.SnapshotError
		require.ErrorAs(t, err, &several)
		assert.Len(t, several.Snapshots, 2)
		require.ErrorContains(t, err, want)
	}
	raw := stream()
	_, err := physmemtest.OpenReader(bytes.NewReader(raw), int64(len(raw)), open.Options{Snapshot: "a"})
	var option *physmem.OptionError
	require.ErrorAs(t, err, &option)
}

// TestRefused: what has no state that can be read is named.
func TestRefused(t *testing.T) {
	t.Parallel()
	plain := image{version: 3, clusterBits: 16, diskSize: 1 << 20, snapshots: one(stream())}
	with := func(f func(i *image)) []byte {
		i := plain
		i.snapshots = slices.Clone(i.snapshots)
		f(&i)
		return i.build()
	}
	for name, tt := range map[string]struct {
		file []byte
		want string
	}{
		"no snapshot":   {with(func(i *image) { i.snapshots = nil }), "without the memory of a snapshot; a disk holds no memory"},
		"no memory":     {with(func(i *image) { i.snapshots[0].state = nil }), "with 1 snapshot of the disk alone, without memory; of a machine with several disks"},
		"encrypted":     {with(func(i *image) { i.crypt = 2 }), "an encrypted qcow2 disk image"},
		"corrupt":       {with(func(i *image) { i.features = 2 }), "marked as corrupt"},
		"external data": {with(func(i *image) { i.features = 4 }), "data is in another file"},
		"unknown":       {with(func(i *image) { i.features = 1 << 40 }), "features that are not known (1099511627776)"},
		"no stream":     {with(func(i *image) { i.snapshots[0].state = []byte("something else, and more of it") }), "its state is no migration stream"},
		"no clusters":   {with(func(i *image) { i.clusterBits, i.snapshots = 16, nil })[:0x50], "a qcow2 disk image without"},
	} {
		_, err := physmemtest.Open(tt.file)
		require.ErrorContains(t, err, tt.want, name)
	}
}

// TestLies: tables that lead nowhere, or claim more than there is.
func TestLies(t *testing.T) {
	t.Parallel()
	be := binary.BigEndian
	file := image{version: 3, clusterBits: 16, diskSize: 1 << 20, snapshots: one(stream())}.build()
	table := int(be.Uint64(file[64:]))
	for name, f := range map[string]func(b []byte){
		"snapshots":          func(b []byte) { be.PutUint32(b[60:], 0xffffffff) },
		"more of them":       func(b []byte) { be.PutUint32(b[60:], 0x8000) },
		"table":              func(b []byte) { be.PutUint64(b[64:], 0xfffffffffffffff0) },
		"extra":              func(b []byte) { be.PutUint32(b[table+36:], 0xfffffff0) },
		"l1":                 func(b []byte) { be.PutUint64(b[table:], 0xfffffffffffffff0) },
		"l1 size":            func(b []byte) { be.PutUint32(b[table+8:], 1) },
		"size of the state":  func(b []byte) { be.PutUint64(b[table+40:], 1<<60) },
		"size of the disk":   func(b []byte) { be.PutUint64(b[table+48:], 1<<63) },
		"cut":                func(b []byte) { clear(b[:4]) },
		"state of one byte ": func(b []byte) { be.PutUint64(b[table+40:], 1) },
	} {
		bad := bytes.Clone(file)
		f(bad)
		m, err := physmemtest.Open(bad)
		require.Error(t, err, name)
		require.Nil(t, m)
	}
	for n := 0; n < len(file); n += 0x1234 {
		m, err := physmemtest.Open(file[:n])
		if err == nil {
			fixture.CheckReads(t, m)
		}
	}
}

// FuzzQcow2 opens damaged images.
func FuzzQcow2(f *testing.F) {
	var files [][]byte
	for _, name := range []string{"64 KiB", "512", "extended", "version 2"} {
		i := shapes()[name]
		files = append(files, i.build())
	}
	for i := range files {
		f.Add([]byte{}, uint32(0), uint8(i))
		f.Add([]byte{0, 0, 0x40, 9, 0, 0, 0x14, 1}, uint32(0x1234), uint8(i))
	}
	f.Fuzz(func(t *testing.T, patches []byte, cut uint32, which uint8) {
		file := files[int(which)%len(files)]
		file = fixture.Patch(file[:len(file)-int(cut)%len(file)], patches)
		m, err := physmemtest.Open(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		fixture.CheckReads(t, m)
	})
}
