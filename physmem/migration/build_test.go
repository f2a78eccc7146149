package migration_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"strings"
)

// A writer lays a stream out as QEMU does: it knows nothing of the reader.
type writer struct {
	bytes.Buffer
	noFooters, noDescription, noConfiguration bool
	capabilities                              []string
	described                                 []string // JSON of the devices
	nextID                                    uint32
	last                                      string // block of the word before
	// marks are where structures begin, to cut the file there.
	marks []int
}

func (w *writer) mark()     { w.marks = append(w.marks, w.Len()) }
func (w *writer) u8(v byte) { w.WriteByte(v) }
func (w *writer) be(v any)  { _ = binary.Write(w, binary.BigEndian, v) }
func (w *writer) u32(v int) { w.be(uint32(v)) }
func (w *writer) u64(v int) { w.be(uint64(v)) }
func (w *writer) name(s string) {
	w.u8(byte(len(s)))
	w.WriteString(s)
}

// begin writes the header, and the configuration of a machine.
func (w *writer) begin(machine string) {
	w.WriteString("QEVM")
	w.u32(3)
	if w.noConfiguration {
		return
	}
	w.mark()
	w.u8(7)
	w.u32(len(machine))
	w.WriteString(machine)
	if len(w.capabilities) > 0 {
		w.u8(5)
		w.name("configuration/capabilities")
		w.u32(1)
		w.u32(len(w.capabilities))
		for _, c := range w.capabilities {
			w.name(c)
		}
	}
}

func (w *writer) footer(id int) {
	if !w.noFooters {
		w.u8(0x7e)
		w.u32(id)
	}
}

const ramID = 2

// A blockSize is an entry of the list of blocks.
type blockSize struct {
	name string
	size int64
	more []byte // what capabilities add
}

// start writes the list of blocks.
func (w *writer) start(blocks ...blockSize) {
	w.mark()
	w.u8(1)
	w.u32(ramID)
	w.name("ram")
	w.u32(0)
	w.u32(4)
	sum := int64(0)
	for _, b := range blocks {
		sum += b.size
	}
	w.be(uint64(sum | 4))
	for _, b := range blocks {
		w.mark()
		w.name(b.name)
		w.be(uint64(b.size))
		w.Write(b.more)
	}
	w.u64(0x10)
	w.footer(ramID)
}

// part writes a list of pages, the last one or not.
func (w *writer) part(isLast bool, pages func()) {
	w.mark()
	w.u8(map[bool]byte{false: 2, true: 3}[isLast])
	w.u32(ramID)
	pages()
	w.u64(0x10)
	w.footer(ramID)
}

// word writes the word of a page.
func (w *writer) word(block string, page, flags int) {
	w.mark()
	if block == w.last {
		w.u64(page<<12 | flags | 0x20)
		return
	}
	w.u64(page<<12 | flags)
	w.name(block)
	w.last = block
}

func (w *writer) page(block string, page int, data []byte) {
	w.word(block, page, 8)
	w.Write(data)
}

func (w *writer) zero(block string, page int) {
	w.word(block, page, 2)
	w.u8(0)
}

func (w *writer) packed(block string, page int, data []byte) {
	var z bytes.Buffer
	f := zlib.NewWriter(&z)
	_, _ = f.Write(data)
	_ = f.Close()
	w.word(block, page, 0x100)
	w.u32(z.Len())
	w.Write(z.Bytes())
}

// changed writes what differs of a page in a stretch, as XBZRLE.
func (w *writer) changed(block string, page, at int, data []byte) {
	leb := func(n int) []byte {
		if n < 0x80 {
			return []byte{byte(n)}
		}
		return []byte{byte(n) | 0x80, byte(n >> 7)}
	}
	b := append(leb(at), leb(len(data))...)
	b = append(b, data...)
	w.word(block, page, 0x40)
	w.u8(1)
	w.be(uint16(len(b)))
	w.Write(b)
}

// device writes a device, described as one field and a subsection if there is one.
func (w *writer) device(name string, instance, version int, data []byte, sub ...byte) {
	w.nextID++
	id := 10 + int(w.nextID)
	w.mark()
	w.u8(4)
	w.u32(id)
	w.name(name)
	w.u32(instance)
	w.u32(version)
	w.Write(data)
	subs := ""
	if len(sub) > 0 {
		w.u8(5)
		w.name("sub/" + name)
		w.u32(1)
		w.Write(sub)
		subs = fmt.Sprintf(`,"subsections":[{"vmsd_name":"sub/%s","version":1,"fields":[{"name":"b","type":"uint8","array_len":%d,"size":1}]}]`, name, len(sub))
	}
	w.footer(id)
	w.described = append(w.described, fmt.Sprintf(
		`{"name":%q,"instance_id":%d,"vmsd_name":%q,"version":%d,"fields":[{"name":"data","type":"struct","struct":{"vmsd_name":"x","fields":[{"name":"y","size":9}]},"size":%d}]%s}`,
		name, instance, name, version, len(data), subs))
}

// end writes the end, and the description.
func (w *writer) end() []byte {
	w.mark()
	w.u8(0)
	if !w.noDescription {
		text := `{"configuration":{"vmsd_name":"configuration","fields":[]},"page_size":4096,"devices":[` + strings.Join(w.described, ",") + `]}`
		w.u8(6)
		w.u32(len(text))
		w.WriteString(text)
	}
	return w.Bytes()
}

// clock writes the section of the clock, with the CMOS of a board of so many KiB low and
// high.
func (w *writer) clock(low, high int) {
	b := make([]byte, 128+40)
	if low > 16<<10 {
		binary.LittleEndian.PutUint16(b[0x34:], uint16((low-16<<10)/64))
	}
	binary.LittleEndian.PutUint16(b[0x30:], uint16(min(low-1<<10, 63<<10)))
	n := high / 64
	b[0x5b], b[0x5c], b[0x5d] = byte(n), byte(n>>8), byte(n>>16)
	w.device("mc146818rtc", 0, 3, b)
}

// cpu writes the section of a processor whose registers are made of its number.
func (w *writer) cpu(instance int) {
	b := make([]byte, 0x719)
	be := binary.BigEndian
	for i := range 18 { // general registers, rip, rflags
		be.PutUint64(b[8*i:], uint64(instance)<<32|uint64(i+1))
	}
	be.PutUint32(b[0x90:], 1<<14) // LMA
	be.PutUint16(b[0x94:], 0x27f)
	be.PutUint16(b[0x98:], 0x81)
	be.PutUint64(b[0x9c:], 0x8000000000000000)
	be.PutUint16(b[0xa4:], 0x3fff)
	for i := range 10 { // es cs ss ds fs gs ldt tr gdt idt
		at := 0xec + 20*i
		be.PutUint32(b[at:], uint32(8*i))
		be.PutUint64(b[at+4:], 0xffff800000000000+uint64(i)<<12)
		be.PutUint32(b[at+12:], uint32(0x1000+i))
		be.PutUint32(b[at+16:], uint32(0x209b00+i<<8))
	}
	for i := range 4 { // cr0 cr2 cr3 cr4
		be.PutUint64(b[0x1c8+8*i:], uint64(0xc0+i))
	}
	for i := range 8 { // dr0 to dr7
		be.PutUint64(b[0x1e8+8*i:], uint64(0xd0+i))
	}
	be.PutUint32(b[0x22c:], 0x1fa0)
	be.PutUint64(b[0x230+16*15:], 0x1515)
	be.PutUint64(b[0x238+16*15:], 0x5151)
	for i := range 6 { // efer star lstar cstar fmask kernelgsbase
		be.PutUint64(b[0x330+8*i:], uint64(0xe0+i))
	}
	be.PutUint64(b[0x364:], 0x70106)
	w.device("cpu", instance, 12, b, 1, 2, 3)
}

// cpu32 writes the section of a processor of qemu-system-i386, whose registers are made
// of their places.
func (w *writer) cpu32(instance int) {
	b := make([]byte, 0x521)
	be := binary.BigEndian
	for i := range 10 { // eax ecx edx ebx esp ebp esi edi eip eflags
		be.PutUint32(b[4*i:], uint32(0x100*instance+i+1))
	}
	be.PutUint16(b[0x2c:], 0x27f) // x87
	be.PutUint16(b[0x30:], 0x81)
	be.PutUint64(b[0x34:], 0x8000000000000000)
	be.PutUint16(b[0x3c:], 0x3fff)
	for i := range 10 { // es cs ss ds fs gs ldt tr gdt idt
		at := 0x84 + 16*i
		for j, v := range []uint32{uint32(8 * i), 0x80000000 + uint32(i)<<12, uint32(0x1000 + i), uint32(0xc09b00 + i<<8)} {
			be.PutUint32(b[at+4*j:], v)
		}
	}
	for i := range 4 { // cr0 cr2 cr3 cr4
		be.PutUint32(b[0x130+4*i:], uint32(0xc0+i))
	}
	for i := range 8 { // dr0 to dr7
		be.PutUint32(b[0x140+4*i:], uint32(0xd0+i))
	}
	be.PutUint32(b[0x164:], 0x1fa0) // mxcsr
	be.PutUint64(b[0x168+16*7:], 0x7070)
	be.PutUint64(b[0x170+16*7:], 0x0707)
	w.device("cpu", instance, 12, append(b, "\x05\x08cpu/pkru\x00\x00\x00\x00\x01\x00\x00\x00\x00"...))
}

// withLibvirt puts libvirt's header in front.
func withLibvirt(magic string, format int, stream []byte) []byte {
	return withXML(magic, format, "<domain type='kvm'><name>x</name></domain>", stream)
}

// withXML is withLibvirt with a domain's XML.
func withXML(magic string, format int, domain string, stream []byte) []byte {
	xml := append([]byte(domain), make([]byte, 100)...)
	h := make([]byte, 0x5c)
	copy(h, magic)
	for i, v := range []int{2, len(xml), 1, format} {
		binary.LittleEndian.PutUint32(h[0x10+4*i:], uint32(v))
	}
	return append(append(h, xml...), stream...)
}
