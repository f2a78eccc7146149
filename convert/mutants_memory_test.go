package convert_test

import (
	"bytes"

	"windmp/kdbg"
	"windmp/vtop"
)

// memoryMutants change page tables, the kernel's image and its lists.
func memoryMutants() []mutant {
	head := func(d *dump) vtop.VA { return vtop.VA(d.block.Data.PsLoadedModuleList) }
	first := func(d *dump) vtop.VA { return vtop.VA(d.get64(head(d))) }
	second := func(d *dump) vtop.VA { return vtop.VA(d.get64(first(d))) }
	return []mutant{
		{name: "modules-head-nowhere", change: func(d *dump) { d.v64(head(d), nowhere) }},
		{name: "modules-head-zero", change: func(d *dump) { d.v64(head(d), 0) }},
		{name: "modules-empty", change: func(d *dump) { d.v64(head(d), uint64(head(d))) }},
		{name: "modules-head-unmapped", change: func(d *dump) { d.unmap(head(d)) }},
		{name: "modules-end-early", change: func(d *dump) { d.v64(second(d), nowhere) }},
		{name: "modules-loop", change: func(d *dump) { d.v64(second(d), uint64(second(d))) }},
		{name: "modules-loop-to-first", change: func(d *dump) { d.v64(second(d), uint64(first(d))) }},
		{name: "module0-base-wrong", change: func(d *dump) { d.v64(first(d)+0x30, d.get64(first(d)+0x30)+0x10000) }},
		{name: "module0-base-zero", change: func(d *dump) { d.v64(first(d)+0x30, 0) }},
		{name: "module0-size-zero", change: func(d *dump) { d.v32(first(d)+0x40, 0) }},
		{name: "module0-name-nowhere", change: func(d *dump) { d.v64(first(d)+0x60, nowhere); d.v64(first(d)+0x50, nowhere) }},
		{name: "module0-name-empty", change: func(d *dump) { d.v32(first(d)+0x58, 0); d.v32(first(d)+0x48, 0) }},
		{name: "module1-name-nowhere", change: func(d *dump) { d.v64(second(d)+0x60, nowhere); d.v64(second(d)+0x50, nowhere) }},
		{name: "module1-name-length", change: func(d *dump) { d.v32(second(d)+0x58, 0xffffffff) }},
		{name: "nt-header-zero", change: func(d *dump) { d.zero(vtop.VA(d.block.Data.KernBase), 0x400) }},
		{name: "nt-header-no-MZ", change: func(d *dump) { d.v16(vtop.VA(d.block.Data.KernBase), 0) }},
		{name: "nt-header-unmapped", change: func(d *dump) { d.unmap(vtop.VA(d.block.Data.KernBase)) }},
		{name: "kuser-unmapped", change: func(d *dump) { d.unmap(kdbg.X64.SharedUserData) }},
		{name: "kuser-zero", change: func(d *dump) { d.zero(kdbg.X64.SharedUserData, 0x400) }},
		{name: "pml4-zero", change: func(d *dump) { clear(d.part(int(d.phys(uint64(d.space.DTB))), 0x1000)) }},
		{name: "pml4-garbage", change: func(d *dump) {
			copy(d.part(int(d.phys(uint64(d.space.DTB))), 0x1000), bytes.Repeat([]byte{0x41}, 0x1000))
		}},
		{name: "processes-nowhere", change: func(d *dump) { d.v64(vtop.VA(d.block.Data.PsActiveProcessHead), nowhere) }},
		{name: "bugcheck-data-zero", change: func(d *dump) { d.zero(vtop.VA(d.block.Data.KiBugcheckData), 40) }},
	}
}

// bitmapMutants are dumps of types 2, 5 and 6, and what differs from them.
func bitmapMutants() []mutant {
	const second = 0x2000
	bitmap := func(name string, kind uint32, signature string, change func(d *dump)) mutant {
		return mutant{name: name, change: func(d *dump) {
			d.bitmap(kind, signature, 0)
			if change != nil {
				change(d)
			}
		}}
	}
	full := func(name string, change func(d *dump)) mutant { return bitmap("bitmap-"+name, 5, "FDMP", change) }
	summary := func(name string, change func(d *dump)) mutant {
		return bitmap("summary-"+name, 2, "SDMP", change)
	}
	add := func(off int, n int64) func(d *dump) {
		return func(d *dump) { d.h64(second+off, uint64(int64(d.h64at(second+off))+n)) }
	}
	return []mutant{
		bitmap("bitmap-5-FDMP", 5, "FDMP", nil), bitmap("bitmap-5-SDMP", 5, "SDMP", nil),
		bitmap("bitmap-6-FDMP", 6, "FDMP", nil), bitmap("bitmap-6-SDMP", 6, "SDMP", nil),
		bitmap("summary-SDMP", 2, "SDMP", nil), bitmap("summary-FDMP", 2, "FDMP", nil),
		bitmap("bitmap-5-XDMP", 5, "XDMP", nil), bitmap("bitmap-6-zero", 6, "\x00\x00\x00\x00", nil),
		{name: "bitmap-odd-bits", change: func(d *dump) { d.bitmap(5, "FDMP", 0x3f1) }},
		full("valid-dump", func(d *dump) { d.h32(second+4, 0) }),
		full("pages-more", add(0x28, 1)), full("pages-less", add(0x28, -1)),
		full("pages-zero", func(d *dump) { d.h64(second+0x28, 0) }),
		full("pages-huge", func(d *dump) { d.h64(second+0x28, 1<<60) }),
		full("bits-less", add(0x30, -64)), full("bits-zero", func(d *dump) { d.h64(second+0x30, 0) }),
		full("bits-huge", func(d *dump) { d.h64(second+0x30, 1<<60) }),
		full("bit-cleared", func(d *dump) { d.part(second+0x38+4, 1)[0] &^= 1 }),
		full("first-page-zero", func(d *dump) { d.h64(second+0x20, 0) }),
		full("first-page-more", add(0x20, 0x1000)), full("first-page-beyond", func(d *dump) { d.h64(second+0x20, 1<<40) }),
		full("required-zero", func(d *dump) { d.h64(0xfa0, 0) }),
		full("required-less", func(d *dump) { d.h64(0xfa0, uint64(len(d.b)-0x1000)) }),
		full("required-more", func(d *dump) { d.h64(0xfa0, uint64(len(d.b)+0x1000)) }),
		full("file-byte-missing", func(d *dump) { d.cut(1) }), full("file-page-missing", func(d *dump) { d.cut(0x1000) }),
		full("file-half", func(d *dump) { d.cut(len(d.b) / 2) }),
		full("file-cut-in-bitmap", func(d *dump) { d.b = d.b[:second+0x40] }),
		full("file-cut-before-bitmap", func(d *dump) { d.b = d.b[:second] }),
		full("no-run-table", func(d *dump) { clear(d.part(0x88, 0x2bc)) }),
		full("kdbg-encoded", nil).with((*dump).encode),
		summary("pages-more", func(d *dump) { d.h32(second+0x14, 0xffff) }),
		summary("pages-zero", func(d *dump) { d.h32(second+0x14, 0) }),
		summary("header-size-zero", func(d *dump) { d.h32(second+0xc, 0) }),
		summary("header-size-beyond", func(d *dump) { d.h32(second+0xc, 0x7fffffff) }),
		summary("bits-huge", func(d *dump) { d.h32(second+0x10, 0xffffffff) }),
		summary("file-byte-missing", func(d *dump) { d.cut(1) }), summary("file-half", func(d *dump) { d.cut(len(d.b) / 2) }),
		summary("required-zero", func(d *dump) { d.h64(0xfa0, 0) }),
	}
}

// with changes the full dump before m turns it into another type.
func (m mutant) with(before func(d *dump)) mutant {
	after := m.change
	m.change = func(d *dump) {
		before(d)
		after(d)
	}
	return m
}
