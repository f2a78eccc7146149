package convert_test

import (
	"encoding/binary"
	"fmt"
	"slices"

	"windmp/kdbg"
	"windmp/vtop"
)

const (
	nowhere32 = 0x9f300000 // mapped by nobody
	userVA32  = 0x00410000
)

// mutants32 are dumps of 32-bit guests, offsets as in [winhdr.X86].
func mutants32() []mutant {
	list := slices.Concat(goodDumps32(), headerMutants32(), layoutMutants32(), fileMutants32(), kdbgMutants32(),
		processorMutants32(), memoryMutants32(), bitmapMutants32())
	for i := range list {
		list[i].name = "x86-" + list[i].name
		if list[i].base == "" {
			list[i].base = "x86-bsod-2cpu"
		}
	}
	return list
}

func goodDumps32() []mutant {
	return []mutant{
		{name: "good-bsod", base: "x86-bsod-2cpu"},
		{name: "good-live", base: "x86-live-2cpu"},
		{name: "good-nopae-bsod-odd", base: "x86-nopae-2cpu"},
		{name: "good-nopae-live", base: "x86-nopae-live-2cpu"},
	}
}

func headerMutants32() []mutant {
	pae := func(name, base string, v byte) mutant {
		return mutant{name: name, base: base, change: func(d *dump) { d.part(0x5c, 1)[0] = v }}
	}
	return slices.Concat(
		values[uint32]("Signature", 0, 0, 0x45474151),
		values[uint32]("ValidDump", 4, 0, 0x34365544),
		values[uint32]("MajorVersion", 8, 0, 0xc, 0xff, 0x40f, 0x100f, fill32),
		values[uint32]("MinorVersion", 0xc, 0, 1, 2600, 3790, 9600, 19041, fill32),
		values[uint32]("DirectoryTableBase", 0x10, 0, 0x5000, 0x7ffff000, fill32),
		[]mutant{
			{name: "DirectoryTableBase-flags", change: func(d *dump) { d.h32(0x10, uint32(d.space.DTB)|0x18) }},
			pae("PaeEnabled-0", "x86-bsod-2cpu", 0), pae("PaeEnabled-fill", "x86-bsod-2cpu", 0x50),
			pae("PaeEnabled-2", "x86-bsod-2cpu", 2),
			pae("nopae-PaeEnabled-1", "x86-nopae-2cpu", 1), pae("nopae-PaeEnabled-fill", "x86-nopae-2cpu", 0x50),
		},
		values[uint32]("PfnDataBase", 0x14, 0, 0x1234, fill32),
		values[uint32]("PsLoadedModuleList", 0x18, 0, nowhere32, userVA32, fill32),
		values[uint32]("PsActiveProcessHead", 0x1c, 0, nowhere32, fill32),
		values[uint32]("MachineImageType", 0x20, 0, 0x8664, 0x200),
		values[uint32]("NumberProcessors", 0x24, 0, 1, 3, 32, 33, 0x501, fill32),
		values[uint32]("BugCheckCode", 0x28, 0, 0x161, fill32),
		values[uint32]("BugCheckParameter1", 0x2c, 0, fill32),
		values[uint32]("KdDebuggerDataBlock", 0x60, 0, nowhere32, userVA32, fill32),
		values[uint32]("ExceptionCode", 0x7d0, 0, 0xc0000005),
		values[uint32]("DumpType", 0xf88, 0, 2, 3, 4, 5, 6, 7, 8, 0xa, fill32),
		values[uint32]("ProductType", 0xf94, 0, 9, fill32),
		values[uint32]("RequiredDumpSpace-low", 0xfa0, 0, 0x1000, fill32),
		values[uint32]("RequiredDumpSpace-high", 0xfa4, 0, 1),
		values[uint64]("SystemUpTime", 0xfb8, 0, fill64),
		values[uint64]("SystemTime", 0xfc0, 0, 1, fill64),
		[]mutant{
			{name: "Context-zero", change: func(d *dump) { clear(d.part(0x320, 0x2cc)) }},
			{name: "Context-other-Esp", change: func(d *dump) { d.h32(0x320+0xc4, 0x8c123450) }},
		},
	)
}

func layoutMutants32() []mutant {
	last := func(d *dump) int { return 0x6c + 8*int(binary.LittleEndian.Uint32(d.b[0x64:])-1) }
	add := func(at func(d *dump) int, n int) func(d *dump) {
		return func(d *dump) { d.h32(at(d), uint32(int(binary.LittleEndian.Uint32(d.b[at(d):]))+n)) }
	}
	count := func(d *dump) int { return last(d) + 4 }
	pages := func(*dump) int { return 0x68 }
	return slices.Concat(
		values[uint32]("NumberOfRuns", 0x64, 0, 1, 3, 86, 87, 0xffffffff, fill32),
		values[uint32]("NumberOfPages", 0x68, 0, 1, 1<<20, fill32),
		[]mutant{
			{name: "NumberOfPages-one-more", change: add(pages, 1)},
			{name: "NumberOfPages-one-less", change: add(pages, -1)},
			{name: "run-base-one-more", change: add(last, 1)},
			{name: "run-count-one-more", change: add(count, 1)},
			{name: "run-count-one-less", change: add(count, -1)},
			{name: "run-count-huge", change: func(d *dump) { d.h32(count(d), 0xfffff000) }},
			{name: "run-overlap", change: func(d *dump) { d.h32(last(d), 0x50) }},
		},
	)
}

func fileMutants32() []mutant {
	return []mutant{
		{name: "file-byte-missing", change: func(d *dump) { d.cut(1) }},
		{name: "file-page-missing", change: func(d *dump) { d.cut(0x1000) }},
		{name: "file-half", change: func(d *dump) { d.cut(len(d.b) / 2) }},
		{name: "file-two-pages", change: func(d *dump) { d.b = d.b[:0x2000] }},
		{name: "file-header-only", change: func(d *dump) { d.b = d.b[:0x1000] }},
		{name: "file-header-cut", change: func(d *dump) { d.b = d.b[:0xfff] }},
		{name: "file-page-more", change: func(d *dump) { d.b = append(d.b, make([]byte, 0x1000)...) }},
	}
}

func kdbgMutants32() []mutant {
	var list []mutant
	add := func(name string, v any, change func(d *dump)) {
		list = append(list, mutant{name: fmt.Sprintf("kdbg-%s-%#x", name, v), change: change})
	}
	for _, v := range []uint32{0, 0x208, 0x290, 0x2c8, 0x318, 0x338, 0x340, 0x360, 0x10000} {
		add("Size", v, func(d *dump) { d.v32(d.block.VA+0x14, v) })
	}
	for _, f := range []struct {
		name string
		off  uint64
		list []uint64
	}{
		{"KernBase", 0x18, []uint64{0, nowhere32, userVA32}},
		{"PsLoadedModuleList", 0x48, []uint64{0, nowhere32}},
		{"PsActiveProcessHead", 0x50, []uint64{0, nowhere32}},
		{"KiBugcheckData", 0x88, []uint64{0}},
		{"KiProcessorBlock", 0x218, []uint64{0, nowhere32, userVA32}},
	} {
		for _, v := range f.list {
			add(f.name, v, func(d *dump) { d.kdbg64(f.off, v) })
		}
	}
	for _, f := range []struct {
		name string
		off  uint64
		list []uint16
	}{
		{"OffsetPrcbContext", 0x338, []uint16{0, 8}},
		{"OffsetPrcbProcStateContext", 0x2bc, []uint16{0, 0x1c}},
		{"OffsetPrcbProcStateSpecialReg", 0x2f2, []uint16{0, 0x2e8, 0xff00}},
		{"OffsetPrcbCurrentThread", 0x2b4, []uint16{0, 0xff00}},
		{"OffsetKThreadApcProcess", 0x2a0, []uint16{0}},
		{"OffsetEprocessDirectoryTableBase", 0x2ae, []uint16{0, 0x30}},
		{"GdtR0Pcr", 0x2f8, []uint16{0, 0x38}},
	} {
		for _, v := range f.list {
			add(f.name, v, func(d *dump) { d.kdbg16(f.off, v) })
		}
	}
	return append(list,
		mutant{name: "kdbg-tag", change: func(d *dump) { d.v32(d.block.VA+0x10, 0x4742444c) }},
		mutant{name: "kdbg-sign-extended", change: func(d *dump) { d.kdbg64(0x18, 0xffffffff<<32|d.block.Data.KernBase) }},
		mutant{name: "kdbg-unmapped", change: func(d *dump) { d.unmap(d.block.VA) }},
	)
}

func processorMutants32() []mutant {
	cpu := func(name string, change func(d *dump, p *kdbg.Processor)) []mutant {
		var out []mutant
		for i := range 2 {
			out = append(out, mutant{name: fmt.Sprintf("cpu%d-%s", i, name), change: func(d *dump) { change(d, &d.cpus[i]) }})
		}
		return out
	}
	entry := func(i vtop.VA, v uint32) func(d *dump) {
		return func(d *dump) { d.v32(vtop.VA(d.block.Data.KiProcessorBlock)+4*i, v) }
	}
	return slices.Concat(
		[]mutant{
			{name: "KiProcessorBlock0-null", change: entry(0, 0)},
			{name: "KiProcessorBlock1-null", change: entry(1, 0)},
			{name: "KiProcessorBlock1-nowhere", change: entry(1, nowhere32)},
			{name: "KiProcessorBlock-unmapped", change: func(d *dump) { d.unmap(vtop.VA(d.block.Data.KiProcessorBlock)) }},
		},
		cpu("Context-null", func(d *dump, p *kdbg.Processor) { d.v32(p.PRCB+vtop.VA(d.block.Data.OffsetPrcbContext), 0) }),
		cpu("Context-nowhere", func(d *dump, p *kdbg.Processor) {
			d.v32(p.PRCB+vtop.VA(d.block.Data.OffsetPrcbContext), nowhere32)
		}),
		cpu("SegCs-0", func(d *dump, p *kdbg.Processor) { d.v32(p.Context+0xbc, 0) }),
		cpu("SegCs-0x1b", func(d *dump, p *kdbg.Processor) { d.v32(p.Context+0xbc, 0x1b) }),
		cpu("SegFs-0", func(d *dump, p *kdbg.Processor) { d.v32(p.Context+0x90, 0) }),
		cpu("ContextFlags-0", func(d *dump, p *kdbg.Processor) { d.v32(p.Context, 0) }),
		cpu("Esp-0", func(d *dump, p *kdbg.Processor) { d.v32(p.Context+0xc4, 0) }),
		cpu("Eip-0", func(d *dump, p *kdbg.Processor) { d.v32(p.Context+0xb8, 0) }),
		cpu("Number-7", func(d *dump, p *kdbg.Processor) { d.v32(p.PRCB+0x3cc, 7) }),
		cpu("Gdtr-zero", func(d *dump, p *kdbg.Processor) { d.zero(p.SpecialRegisters+0x28, 8) }),
		cpu("Gdtr-nowhere", func(d *dump, p *kdbg.Processor) { d.v32(p.SpecialRegisters+0x2c, nowhere32) }),
		cpu("specials-zero", func(d *dump, p *kdbg.Processor) { d.zero(p.SpecialRegisters, 0x3c) }),
		cpu("GDT-zero", func(d *dump, p *kdbg.Processor) { d.zero(d.get32(p.SpecialRegisters+0x2c), 0x40) }),
		cpu("GDT-no-PCR", func(d *dump, p *kdbg.Processor) { d.zero(d.get32(p.SpecialRegisters+0x2c)+0x30, 8) }),
		cpu("KTHREAD-null", func(d *dump, p *kdbg.Processor) { d.v32(p.PRCB+4, 0) }),
		cpu("KTHREAD-nowhere", func(d *dump, p *kdbg.Processor) { d.v32(p.PRCB+4, nowhere32) }),
		cpu("EPROCESS-null", func(d *dump, p *kdbg.Processor) { d.v32(d.get32(p.PRCB+4)+0x50, 0) }),
		cpu("DirectoryTableBase-0x5000", func(d *dump, p *kdbg.Processor) { d.v32(d.get32(d.get32(p.PRCB+4)+0x50)+0x18, 0x5000) }),
	)
}

func memoryMutants32() []mutant {
	head := func(d *dump) vtop.VA { return vtop.VA(d.block.Data.PsLoadedModuleList) }
	first := func(d *dump) vtop.VA { return d.get32(head(d)) }
	second := func(d *dump) vtop.VA { return d.get32(first(d)) }
	return []mutant{
		{name: "modules-head-nowhere", change: func(d *dump) { d.v32(head(d), nowhere32) }},
		{name: "modules-empty", change: func(d *dump) { d.v32(head(d), uint32(head(d))) }},
		{name: "modules-head-unmapped", change: func(d *dump) { d.unmap(head(d)) }},
		{name: "modules-end-early", change: func(d *dump) { d.v32(second(d), nowhere32) }},
		{name: "modules-loop", change: func(d *dump) { d.v32(second(d), uint32(second(d))) }},
		{name: "module0-base-zero", change: func(d *dump) { d.v32(first(d)+0x18, 0) }},
		{name: "module0-name-nowhere", change: func(d *dump) { d.v32(first(d)+0x28, nowhere32); d.v32(first(d)+0x30, nowhere32) }},
		{name: "nt-header-no-MZ", change: func(d *dump) { d.v16(vtop.VA(d.block.Data.KernBase), 0) }},
		{name: "nt-header-unmapped", change: func(d *dump) { d.unmap(vtop.VA(d.block.Data.KernBase)) }},
		{name: "kuser-unmapped", change: func(d *dump) { d.unmap(kdbg.X86.SharedUserData) }},
		{name: "tables-zero", change: func(d *dump) { clear(d.part(int(d.phys(uint64(d.space.DTB))), 0x20)) }},
		{name: "processes-nowhere", change: func(d *dump) { d.v32(vtop.VA(d.block.Data.PsActiveProcessHead), nowhere32) }},
	}
}

func bitmapMutants32() []mutant {
	const second = 0x1000
	bitmap := func(name string, kind uint32, signature string, change func(d *dump)) mutant {
		return mutant{name: name, change: func(d *dump) {
			d.bitmap(kind, signature, 0)
			if change != nil {
				change(d)
			}
		}}
	}
	full := func(name string, change func(d *dump)) mutant { return bitmap("bitmap-"+name, 5, "FDMP", change) }
	add := func(off int, n int64) func(d *dump) {
		return func(d *dump) { d.h64(second+off, uint64(int64(d.h64at(second+off))+n)) }
	}
	return []mutant{
		bitmap("bitmap-5-FDMP", 5, "FDMP", nil), bitmap("bitmap-6-SDMP", 6, "SDMP", nil),
		bitmap("bitmap-5-XDMP", 5, "XDMP", nil),
		full("pages-more", add(0x28, 1)), full("pages-zero", func(d *dump) { d.h64(second+0x28, 0) }),
		full("bits-less", add(0x30, -64)),
		full("first-page-more", add(0x20, 0x1000)),
		full("required-zero", func(d *dump) { d.h64(0xfa0, 0) }),
		full("required-less", func(d *dump) { d.h64(0xfa0, uint64(len(d.b)-0x1000)) }),
		full("required-upper-fill", func(d *dump) { d.h32(0xfa4, fill32) }),
		full("file-byte-missing", func(d *dump) { d.cut(1) }), full("file-half", func(d *dump) { d.cut(len(d.b) / 2) }),
		full("no-run-table", func(d *dump) { clear(d.part(0x64, 0x2bc)) }),
	}
}
