package coretest

import (
	"bytes"
	"testing"

	"windmp/physmem"
)

// Xen is a guest as Xen's tools write it: xl dump-core ([Xen.Core]) and xl save
// ([Xen.Save]). Sources: Xen 4.17 docs/misc/dump-core-format.txt,
// docs/specs/libxc-migration-stream.pandoc and libxl-migration-stream.pandoc, public
// headers arch-x86/xen.h and arch-x86/hvm/save.h, tools/xl/xl.h; files of Xen 4.17.5.
type Xen struct {
	// Pages are in the order of the file; in a saved state a page may come again.
	Pages []XenPage
	CPUs  []physmem.CPU
	// Unused are pages of a core that were not saved; Around are entries without a page
	// that each record of a saved state has.
	Unused, Around int
	// Batch is how many entries a record of pages of a saved state has, 0 for Xen's 1024.
	Batch int
}

// XenPage is a page of a guest.
type XenPage struct {
	Frame uint64
	Data  []byte
}

const xenPage = 0x1000

// NewXen returns the guest of an image, whose ranges are whole pages.
func NewXen(tb testing.TB, m *physmem.Image, cpus []physmem.CPU) *Xen {
	tb.Helper()
	x := &Xen{CPUs: cpus, Unused: 2, Around: 5}
	for i, b := range Memory(tb, m) {
		r := m.Ranges()[i]
		for ; len(b) > 0; b = b[xenPage:] {
			x.Pages = append(x.Pages, XenPage{r.Start / xenPage, b[:xenPage]})
			r.Start += xenPage
		}
	}
	return x
}

// Core returns the ELF core: no program headers; sections for names, notes, processors,
// pages and their numbers, the names last.
func (x *Xen) Core() []byte {
	cpus := make([]byte, 0, 0x1430*len(x.CPUs))
	pages := make([][]byte, 0, len(x.Pages)+1)
	frames := make([]byte, 0, 8*(len(x.Pages)+x.Unused))
	for i := range x.CPUs {
		cpus = append(cpus, xenContext(physmem.X86Of(x.CPUs[i]))...)
	}
	for _, p := range x.Pages {
		pages = append(pages, p.Data)
		frames = le.AppendUint64(frames, p.Frame)
	}
	pages = append(pages, make([]byte, x.Unused*xenPage))
	frames = append(frames, bytes.Repeat([]byte{0xff}, 8*x.Unused)...)
	return xenFile([]xenSection{
		{".note.Xen", 7, [][]byte{x.notes()}, 1, 0},
		{".xen_prstatus", 1, [][]byte{cpus}, 8, 0x1430},
		{".xen_shared_info", 1, [][]byte{make([]byte, xenPage)}, 8, xenPage},
		{".xen_pages", 1, pages, xenPage, xenPage},
		{".xen_pfn", 1, [][]byte{frames}, 8, 8},
	})
}

// notes are those of the core: no more of it, its sizes, the hypervisor's version, and the
// format's.
func (x *Xen) notes() []byte {
	var b []byte
	note := func(typ uint32, desc ...uint64) {
		b = le.AppendUint32(b, 4)
		b = le.AppendUint32(b, uint32(8*len(desc)))
		b = le.AppendUint32(b, typ)
		b = append(b, "Xen\x00"...)
		for _, v := range desc {
			b = le.AppendUint64(b, v)
		}
	}
	version := make([]uint64, 160)
	version[0], version[1], version[2] = 4, 17, 0x352e // ".5"
	note(0x2000000)
	note(0x2000001, 0xf00febee, uint64(len(x.CPUs)), uint64(len(x.Pages)+x.Unused), xenPage)
	note(0x2000002, version...)
	note(0x2000003, 1)
	return b
}

// xenSection is a section of the core: its name, type and bytes in parts, how it is
// aligned, and the size of an entry.
type xenSection struct {
	name         string
	typ          uint32
	body         [][]byte
	align, entry int
}

// size is that of the section's bytes.
func (s *xenSection) size() (n int) {
	for _, part := range s.body {
		n += len(part)
	}
	return n
}

// xenFile is an ELF file of sections. Their names are a section too, the first in the table
// behind the empty one, and the last in the file.
func xenFile(sections []xenSection) []byte {
	const header = 64 // bytes: of the file, and of a section
	list := append([]xenSection{{}, {name: ".shstrtab", typ: 3, align: 1}}, sections...)
	var names []byte
	nameAt := make([]uint32, len(list))
	for i := range list {
		nameAt[i] = uint32(len(names))
		names = append(append(names, list[i].name...), 0)
	}
	list[1].body = [][]byte{names}
	size := header + header*len(list)
	for i := range list {
		size += list[i].size() + list[i].align
	}
	file := make([]byte, header+header*len(list), size)
	copy(file, "\x7fELF\x02\x01\x01\x00\x01")
	for off, v := range map[int]uint16{16: 4, 18: 62, 20: 1, 52: header, 54: 56, 58: header, 60: uint16(len(list)), 62: 1} {
		le.PutUint16(file[off:], v)
	}
	le.PutUint64(file[40:], header)
	put := func(n int) {
		s := &list[n]
		file = append(file, make([]byte, -len(file)&(s.align-1))...)
		h := file[header+header*n:]
		le.PutUint32(h, nameAt[n])
		le.PutUint32(h[4:], s.typ)
		le.PutUint64(h[24:], uint64(len(file)))
		le.PutUint64(h[32:], uint64(s.size()))
		le.PutUint64(h[48:], uint64(s.align))
		le.PutUint64(h[56:], uint64(s.entry))
		for _, part := range s.body {
			file = append(file, part...)
		}
	}
	for n := 2; n < len(list); n++ {
		put(n)
	}
	put(1)
	return file
}

// xenContext is the vcpu_guest_context of a hardware virtual machine.
func xenContext(c *physmem.X86) []byte {
	d := make([]byte, 0x1430)
	put := func(at int, list ...uint64) {
		for i, v := range list {
			le.PutUint64(d[at+8*i:], v)
		}
	}
	copy(d, c.FX)
	put(0x200, 0x20)
	if c.FX != nil {
		put(0x200, 0x21)
	}
	put(0x208, c.R15, c.R14, c.R13, c.R12, c.Rbp, c.Rbx, c.R11, c.R10, c.R9, c.R8, c.Rax, c.Rcx, c.Rdx, c.Rsi, c.Rdi, 0, c.Rip)
	put(0x208+0x90, c.Rflags, c.Rsp)
	for at, s := range map[int]physmem.Segment{0x88: c.CS, 0xa0: c.SS, 0xa8: c.ES, 0xb0: c.DS, 0xb8: c.FS, 0xc0: c.GS} {
		le.PutUint16(d[0x208+at:], s.Selector)
	}
	put(0x1378, c.CR0, 0, c.CR2, c.CR3, c.CR4)
	if r := c.Debug; r != nil {
		put(0x13b8, r.Dr0, r.Dr1, r.Dr2, r.Dr3, 0, 0, r.Dr6, r.Dr7)
	}
	kernel, user := c.GS.Base, c.KernelGSBase
	if c.CS.Selector&3 != 0 {
		kernel, user = user, kernel
	}
	put(0x1418, c.FS.Base, kernel, user)
	return d
}

// Save returns what xl save writes.
func (x *Xen) Save() []byte {
	const config = "{\n    \"c_info\": {\n        \"type\": \"hvm\",\n        \"name\": \"win11\"\n    }\n}\n\x00"
	b := append(x.room(), "Xen saved domain, xl format\n \x00 \r"...)
	for _, v := range []uint32{0x01020304, 3, 0, 4 + uint32(len(config)), uint32(len(config))} {
		b = le.AppendUint32(b, v)
	}
	return x.appendLibxl(append(b, config...))
}

// Libvirt returns what virsh save writes (libvirt src/libxl/libxl_conf.h).
func (x *Xen) Libvirt() []byte {
	const xml = "<domain type='xen'><name>win11</name></domain>\x00"
	b := append(x.room(), "libvirt-xml\n \x00 \r"...)
	b = le.AppendUint32(le.AppendUint32(b, 2), uint32(len(xml)))
	b = append(append(b, make([]byte, 40)...), xml...)
	return x.appendLibxl(b)
}

// Libxl returns libxl's stream.
func (x *Xen) Libxl() []byte { return x.appendLibxl(x.room()) }

func (x *Xen) appendLibxl(b []byte) []byte {
	b = append(append(b, "LibxlFmt"...), 0, 0, 0, 2, 0, 0, 0, 0)
	b = x.appendLibxc(xenRecord(b, 1, nil))
	b = xenRecord(b, 2, []byte("xenstore data"))
	b = xenRecord(b, 3, []byte("\x02\x00\x00\x00\x00\x00\x00\x00QEVM\x00\x00\x00\x03"))
	return xenRecord(b, 0, nil)
}

// Xenops returns what XenServer's and XCP-ng's xenopsd writes (its design document on the
// framing of suspend images).
func (x *Xen) Xenops() []byte {
	head := func(b []byte, typ, size uint64) []byte { return le.AppendUint64(le.AppendUint64(b, typ), size) }
	const xml = "((vm win11))"
	b := head(append(x.room(), "XenSavedDomv2-\n"...), 0xf, uint64(len(xml)))
	b = append(b, xml...)
	b = x.appendLibxc(head(b, 0xf0, 0))
	return head(append(head(b, 0xf01, 4), "QEVM"...), 0xffff, 0)
}

// Libxc returns libxc's stream.
func (x *Xen) Libxc() []byte { return x.appendLibxc(x.room()) }

// room is an empty buffer with room for most of a saved state: one that grows is cleared
// and copied each time.
func (x *Xen) room() []byte { return make([]byte, 0, (8+xenPage)*len(x.Pages)+1<<14) }

func (x *Xen) appendLibxc(b []byte) []byte {
	b = append(b, bytes.Repeat([]byte{0xff}, 8)...)
	b = append(b, "XENF\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00"...)
	for _, v := range []uint32{2, 12, 4, 17} { // HVM, page shift, version
		b = le.AppendUint32(b, v)
	}
	b = xenRecord(b, 17, make([]byte, 72)) // CPUID
	b = xenRecord(b, 18, make([]byte, 33)) // MSRs
	b = xenRecord(b, 16, nil)              // end of what does not change
	batch := x.Batch
	if batch == 0 {
		batch = 1024
	}
	for pages := x.Pages; len(pages) > 0; {
		n := min(batch, len(pages))
		b = x.pageData(b, pages[:n])
		pages = pages[n:]
	}
	b = xenRecord(b, 8, make([]byte, 24)) // TSC
	b = xenRecord(b, 9, x.state())
	b = xenRecord(b, 10, make([]byte, 24)) // parameters
	return xenRecord(b, 0, nil)
}

// xenRecord appends a record.
func xenRecord(b []byte, typ uint32, body []byte) []byte {
	b = le.AppendUint32(le.AppendUint32(b, typ), uint32(len(body)))
	b = append(b, body...)
	return append(b, make([]byte, -len(body)&7)...)
}

// pageData appends a record of pages, with entries that have no page in front of those
// that have. It is whole words, and so not padded.
func (x *Xen) pageData(b []byte, pages []XenPage) []byte {
	entries := len(pages) + x.Around
	b = le.AppendUint32(le.AppendUint32(b, 1), uint32(8+8*entries+xenPage*len(pages)))
	b = le.AppendUint64(b, uint64(entries))
	for i := range x.Around {
		b = le.AppendUint64(b, []uint64{0xf << 60, 0xe << 60, 0xd << 60}[i%3]|0xa0+uint64(i))
	}
	for _, p := range pages {
		b = le.AppendUint64(b, p.Frame)
	}
	for _, p := range pages {
		b = append(b, p.Data...)
	}
	return b
}

// state is the state of the machine: its header, each processor, the first device that
// there always is, and what Windows sees of caches, in Xen's order.
func (x *Xen) state() []byte {
	record := func(b []byte, typ, instance int, body []byte) []byte {
		b = le.AppendUint16(le.AppendUint16(b, uint16(typ)), uint16(instance))
		return append(le.AppendUint32(b, uint32(len(body))), body...)
	}
	b := record(nil, 1, 0, make([]byte, 24))
	for i := range x.CPUs {
		b = record(b, 2, int(x.CPUs[i].ID), xenCPU(physmem.X86Of(x.CPUs[i])))
	}
	b = record(b, 3, 0, make([]byte, 8))
	for i := range x.CPUs {
		mtrr := make([]byte, 240)
		if r := physmem.X86Of(x.CPUs[i]).MSR; r != nil {
			le.PutUint64(mtrr, r.PAT)
		}
		b = record(b, 14, int(x.CPUs[i].ID), mtrr)
	}
	return record(b, 0, 0, nil)
}

// xenCPU is a hvm_hw_cpu.
func xenCPU(c *physmem.X86) []byte {
	d := make([]byte, 1032)
	put := func(at int, list ...uint64) {
		for i, v := range list {
			le.PutUint64(d[at+8*i:], v)
		}
	}
	copy(d, c.FX)
	put(0x200, c.Rax, c.Rbx, c.Rcx, c.Rdx, c.Rbp, c.Rsi, c.Rdi, c.Rsp, c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15)
	put(0x280, c.Rip, c.Rflags, c.CR0, c.CR2, c.CR3, c.CR4)
	if r := c.Debug; r != nil {
		put(0x2b0, r.Dr0, r.Dr1, r.Dr2, r.Dr3, r.Dr6, r.Dr7)
	}
	for i, s := range []physmem.Segment{c.CS, c.DS, c.ES, c.FS, c.GS, c.SS, c.TR, c.LDT} {
		le.PutUint32(d[0x2e0+4*i:], uint32(s.Selector))
		le.PutUint32(d[0x300+4*i:], s.Limit)
		put(0x328+8*i, s.Base)
		le.PutUint32(d[0x378+4*i:], s.Flags>>8&0xff|s.Flags>>20&0xf<<8)
	}
	for i, s := range []physmem.Segment{c.IDT, c.GDT} {
		le.PutUint32(d[0x320+4*i:], s.Limit)
		put(0x368+8*i, s.Base)
	}
	put(0x3b0, c.KernelGSBase)
	if r := c.MSR; r != nil {
		put(0x3c0, r.LSTAR, r.STAR, r.CSTAR, r.SFMASK, r.EFER)
	}
	if c.FX != nil {
		le.PutUint32(d[0x400:], 1)
	}
	return d
}
