package convert_test

import (
	"encoding/binary"
	"fmt"
	"slices"

	"windmp/vtop"
)

// Offsets of KDDEBUGGER_DATA64 and of what hangs off it, stated a second time.
const (
	nowhere = 0xfffff8ff12345000 // canonical, mapped by nobody
	userVA  = 0x00007ff612340000
	fill64  = 0x4547415045474150
	fill32  = 0x45474150
)

// mutants are the good dumps, each of them once as it is, and what differs from
// them in one thing.
func mutants() []mutant {
	return slices.Concat(goodDumps(), headerMutants(), layoutMutants(), fileMutants(), kdbgMutants(),
		processorMutants(), memoryMutants(), bitmapMutants(), mutants32())
}

func goodDumps() []mutant {
	var list []mutant
	for _, name := range []string{"guest-bsod", "live-2cpu", "bsod-4cpu-q35", "encoded-2cpu", "swbits-2cpu-vga", "shadow-user-2cpu", "odd-runs-2cpu", "swapcpu-3cpu", "la57-1cpu"} {
		list = append(list, mutant{name: "good-" + name, base: name})
	}
	return list
}

// values makes one mutant for each value of a field.
func values[T uint32 | uint64](name string, off int, list ...T) []mutant {
	var out []mutant
	for _, v := range list {
		out = append(out, mutant{name: fmt.Sprintf("%s-%#x", name, v), change: func(d *dump) {
			switch v := any(v).(type) {
			case uint32:
				d.h32(off, v)
			case uint64:
				d.h64(off, v)
			}
		}})
	}
	return out
}

func headerMutants() []mutant {
	return slices.Concat(
		values[uint32]("Signature", 0, 0, 0x45474151),
		values[uint32]("ValidDump", 4, 0, 0x504d5544),
		values[uint32]("MajorVersion", 8, 0, 0xc, 0xff, 0x40f, 0x100f, fill32),
		values[uint32]("MinorVersion", 0xc, 0, 1, 7601, 9600, 26100, fill32),
		values[uint64]("DirectoryTableBase", 0x10, 0, 0x5000, 0x7ffffff000, fill64),
		[]mutant{
			{name: "DirectoryTableBase-pcid", change: func(d *dump) { d.h64(0x10, uint64(d.space.DTB)|2) }},
			{name: "DirectoryTableBase-bit63", change: func(d *dump) { d.h64(0x10, uint64(d.space.DTB)|1<<63) }},
		},
		values[uint64]("PfnDataBase", 0x18, 0, 0x1234, fill64),
		values[uint64]("PsLoadedModuleList", 0x20, 0, nowhere, userVA, fill64),
		values[uint64]("PsActiveProcessHead", 0x28, 0, nowhere, fill64),
		values[uint32]("MachineImageType", 0x30, 0, 0x14c, 0x200, 0xaa64),
		values[uint32]("NumberProcessors", 0x34, 0, 1, 3, 32, 0x500, 0x501, fill32),
		values[uint32]("BugCheckCode", 0x38, 0, 0x161, fill32),
		values[uint64]("BugCheckParameter1", 0x40, 0, fill64),
		values[uint32]("VersionUser", 0x60, 0),
		values[uint64]("KdDebuggerDataBlock", 0x80, 0, nowhere, userVA, fill64),
		[]mutant{{name: "KdDebuggerDataBlock-shifted", change: func(d *dump) { d.h64(0x80, uint64(d.block.VA)+8) }}},
		contextMutants(),
		values[uint32]("ExceptionCode", 0xf00, 0, 0xc0000005, fill32),
		values[uint32]("DumpType", 0xf98, 0, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0x1000, fill32, 0xffffffff),
		values[uint64]("RequiredDumpSpace", 0xfa0, 0, 0x2000, 1<<40, fill64),
		values[uint64]("SystemTime", 0xfa8, 0, 1, fill64),
		values[uint64]("SystemUpTime", 0x1030, 0, fill64),
		values[uint32]("MiniDumpFields", 0x1038, 0, fill32),
		values[uint32]("SecondaryDataState", 0x103c, 0, 7),
		values[uint32]("ProductType", 0x1040, 0, 9, fill32),
		values[uint32]("SuiteMask", 0x1044, 0, fill32),
		values[uint32]("WriterStatus", 0x1048, 0, 1, 2),
		values[uint32]("Attributes", 0x1050, 0, 0x20, 0x100),
		values[uint32]("BootId", 0x1054, 0),
		[]mutant{
			{name: "Comment-escape", change: func(d *dump) { copy(d.part(0xfb0, 9), "\x1b[31mred\x00") }},
			{name: "Reserved-garbage", change: func(d *dump) { copy(d.part(0x1058, 0xfa8), d.b[0x3000:0x4000]) }},
		},
	)
}

func contextMutants() []mutant {
	const context, size = 0x348, 0x4d0
	return []mutant{
		{name: "Context-fill", change: func(d *dump) {
			for i := 0; i < size; i += 4 {
				d.h32(context+i, fill32)
			}
		}},
		{name: "Context-zero", change: func(d *dump) { clear(d.part(context, size)) }},
		{name: "Context-other-Rsp", change: func(d *dump) { d.h64(context+0x98, 0xfffff80412340000) }},
		{name: "Context-MxCsr-differs", change: func(d *dump) { d.h32(context+0x34, 0x1fa0) }},
		{name: "Context-SegCs-0", change: func(d *dump) { d.h32(context+0x38, 0) }},
	}
}

// run sets a run of the header's table; base and count as they are when -1.
func (d *dump) run(i int, base, count int64) {
	at := 0x98 + 16*i
	if base >= 0 {
		d.h64(at, uint64(base))
	}
	if count >= 0 {
		d.h64(at+8, uint64(count))
	}
}

// runs reads the table.
func (d *dump) runs() (list [][2]int64) {
	for i := range int(binary.LittleEndian.Uint32(d.b[0x88:])) {
		at := 0x98 + 16*i
		list = append(list, [2]int64{int64(binary.LittleEndian.Uint64(d.b[at:])), int64(binary.LittleEndian.Uint64(d.b[at+8:]))})
	}
	return list
}

func layoutMutants() []mutant {
	last := func(d *dump) (int, [2]int64) {
		list := d.runs()
		return len(list) - 1, list[len(list)-1]
	}
	return slices.Concat(
		values[uint32]("NumberOfRuns", 0x88, 0, 1, 3, 42, 43, 44, 128, fill32, 0xffffffff),
		values[uint64]("NumberOfPages", 0x90, 0, 1, 1<<20, 1<<62, fill64),
		[]mutant{
			{name: "NumberOfPages-one-more", change: func(d *dump) { d.h64(0x90, binary.LittleEndian.Uint64(d.b[0x90:])+1) }},
			{name: "NumberOfPages-one-less", change: func(d *dump) { d.h64(0x90, binary.LittleEndian.Uint64(d.b[0x90:])-1) }},
			{name: "run-base-one-more", change: func(d *dump) { i, r := last(d); d.run(i, r[0]+1, -1) }},
			{name: "run-base-beyond-52-bits", change: func(d *dump) { i, _ := last(d); d.run(i, 1<<41, -1) }},
			{name: "run0-base-one-more", change: func(d *dump) { d.run(0, d.runs()[0][0]+1, -1) }},
			{name: "run-count-one-more", change: func(d *dump) { i, r := last(d); d.run(i, -1, r[1]+1) }},
			{name: "run-count-one-less", change: func(d *dump) { i, r := last(d); d.run(i, -1, r[1]-1) }},
			{name: "run-count-zero", change: func(d *dump) { i, _ := last(d); d.run(i, -1, 0) }},
			{name: "run-count-huge", change: func(d *dump) { i, _ := last(d); d.run(i, -1, 1<<50) }},
			{name: "run-empty-appended", change: func(d *dump) {
				i, _ := last(d)
				d.run(i+1, 0x200000, 0)
				d.h32(0x88, uint32(i+2))
			}},
			{name: "run-overlap", change: func(d *dump) {
				list := d.runs()
				d.run(1, list[0][0]+list[0][1]-2, -1)
			}},
			{name: "runs-swapped-with-data", change: swapRuns},
			{name: "runs-swapped-without-data", change: func(d *dump) {
				list := d.runs()
				d.run(0, list[1][0], list[1][1])
				d.run(1, list[0][0], list[0][1])
			}},
		},
	)
}

// swapRuns puts the second run first, in the table and in the file.
func swapRuns(d *dump) {
	list := d.runs()
	d.run(0, list[1][0], list[1][1])
	d.run(1, list[0][0], list[0][1])
	first, second := list[0][1]<<12, list[1][1]<<12
	data := d.part(0x2000, len(d.b)-0x2000)
	swapped := slices.Concat(data[first:first+second], data[:first], data[first+second:])
	copy(data, swapped)
}

func fileMutants() []mutant {
	return []mutant{
		{name: "file-byte-missing", change: func(d *dump) { d.cut(1) }},
		{name: "file-page-missing", change: func(d *dump) { d.cut(0x1000) }},
		{name: "file-16-pages-missing", change: func(d *dump) { d.cut(0x10000) }},
		{name: "file-half", change: func(d *dump) { d.cut(len(d.b) / 2) }},
		{name: "file-one-page", change: func(d *dump) { d.b = d.b[:0x3000] }},
		{name: "file-header-only", change: func(d *dump) { d.b = d.b[:0x2000] }},
		{name: "file-header-cut", change: func(d *dump) { d.b = d.b[:0x1fff] }},
		{name: "file-4096-bytes", change: func(d *dump) { d.b = d.b[:0x1000] }},
		{name: "file-8-bytes", change: func(d *dump) { d.b = d.b[:8] }},
		{name: "file-empty", change: func(d *dump) { d.b = nil }},
		{name: "file-byte-more", change: func(d *dump) { d.b = append(d.b, 0) }},
		{name: "file-page-more", change: func(d *dump) { d.b = append(d.b, make([]byte, 0x1000)...) }},
	}
}

func kdbgMutants() []mutant {
	field := func(name string, off uint64, list ...uint64) []mutant {
		var out []mutant
		for _, v := range list {
			out = append(out, mutant{name: fmt.Sprintf("kdbg-%s-%#x", name, v), change: func(d *dump) { d.kdbg64(off, v) }})
		}
		return out
	}
	offset := func(name string, off uint64, list ...uint16) []mutant {
		var out []mutant
		for _, v := range list {
			out = append(out, mutant{name: fmt.Sprintf("kdbg-%s-%#x", name, v), change: func(d *dump) { d.kdbg16(off, v) }})
		}
		return out
	}
	size := func(list ...uint32) []mutant {
		var out []mutant
		for _, v := range list {
			out = append(out, mutant{name: fmt.Sprintf("kdbg-Size-%#x", v), change: func(d *dump) { d.v32(d.block.VA+0x14, v) }})
		}
		return out
	}
	return slices.Concat(
		size(0, 0x10, 0x208, 0x2c8, 0x318, 0x338, 0x340, 0x360, 0x384, 0x3a0, 0x1000, 0x10000, 0xffffffff),
		field("KernBase", 0x18, 0, nowhere, userVA),
		field("PsLoadedModuleList", 0x48, 0, nowhere),
		field("PsActiveProcessHead", 0x50, 0, nowhere),
		field("KiBugcheckData", 0x88, 0, nowhere),
		field("MmPageSize", 0x138, 0, 0x2000),
		field("NtBuildLab", 0x208, 0, nowhere),
		field("KiProcessorBlock", 0x218, 0, nowhere, userVA),
		offset("OffsetPrcbContext", 0x338, 0, 8, 0xff0),
		offset("OffsetPrcbProcStateSpecialReg", 0x2f2, 0, 0xff00),
		offset("OffsetPrcbCurrentThread", 0x2b4, 0, 0xff00),
		offset("OffsetKThreadApcProcess", 0x2a0, 0),
		offset("OffsetEprocessDirectoryTableBase", 0x2ae, 0, 0x30),
		[]mutant{
			{name: "kdbg-tag", change: func(d *dump) { d.v32(d.block.VA+0x10, 0x4742444c) }},
			{name: "kdbg-encoded", change: (*dump).encode},
			{name: "kdbg-zeroed", change: func(d *dump) { d.zero(d.block.VA, 0x100) }},
			{name: "kdbg-unmapped", change: func(d *dump) { d.unmap(d.block.VA) }},
			{name: "kdbg-list-zero", change: func(d *dump) { d.zero(d.block.VA, 16) }},
		},
	)
}

func processorMutants() []mutant {
	cpu := func(name string, change func(d *dump, prcb, context, special vtop.VA)) []mutant {
		var out []mutant
		for i := range 2 {
			out = append(out, mutant{name: fmt.Sprintf("cpu%d-%s", i, name), change: func(d *dump) {
				p := d.cpus[i]
				change(d, p.PRCB, p.Context, p.SpecialRegisters)
			}})
		}
		return out
	}
	entry := func(name string, i uint64, value func(d *dump) uint64) mutant {
		return mutant{name: name, change: func(d *dump) { d.v64(vtop.VA(d.block.Data.KiProcessorBlock)+vtop.VA(8*i), value(d)) }}
	}
	always := func(v uint64) func(*dump) uint64 { return func(*dump) uint64 { return v } }
	return slices.Concat(
		[]mutant{
			entry("KiProcessorBlock0-null", 0, always(0)),
			entry("KiProcessorBlock1-null", 1, always(0)),
			entry("KiProcessorBlock1-nowhere", 1, always(nowhere)),
			entry("KiProcessorBlock0-nowhere", 0, always(nowhere)),
			entry("KiProcessorBlock1-user", 1, always(userVA)),
			entry("KiProcessorBlock1-repeats", 1, func(d *dump) uint64 { return uint64(d.cpus[0].PRCB) }),
			{name: "KiProcessorBlock-unmapped", change: func(d *dump) { d.unmap(vtop.VA(d.block.Data.KiProcessorBlock)) }},
		},
		cpu("Context-null", func(d *dump, prcb, _, _ vtop.VA) { d.v64(prcb+vtop.VA(d.block.Data.OffsetPrcbContext), 0) }),
		cpu("Context-nowhere", func(d *dump, prcb, _, _ vtop.VA) { d.v64(prcb+vtop.VA(d.block.Data.OffsetPrcbContext), nowhere) }),
		cpu("SegCs-0", func(d *dump, _, c, _ vtop.VA) { d.v16(c+0x38, 0) }),
		cpu("SegCs-0x18", func(d *dump, _, c, _ vtop.VA) { d.v16(c+0x38, 0x18) }),
		cpu("SegCs-0x23", func(d *dump, _, c, _ vtop.VA) { d.v16(c+0x38, 0x23) }),
		cpu("SegCs-0x33", func(d *dump, _, c, _ vtop.VA) { d.v16(c+0x38, 0x33) }),
		cpu("ContextFlags-0", func(d *dump, _, c, _ vtop.VA) { d.v32(c+0x30, 0) }),
		cpu("Rsp-0", func(d *dump, _, c, _ vtop.VA) { d.v64(c+0x98, 0) }),
		cpu("Rip-0", func(d *dump, _, c, _ vtop.VA) { d.v64(c+0xf8, 0) }),
		cpu("Context-zero", func(d *dump, _, c, _ vtop.VA) { d.zero(c, 0x4d0) }),
		cpu("Number-7", func(d *dump, prcb, _, _ vtop.VA) { d.v32(prcb+0x24, 7) }),
		cpu("Gdtr-zero", func(d *dump, _, _, sr vtop.VA) { d.zero(sr+0x50, 16) }),
		cpu("Gdtr-nowhere", func(d *dump, _, _, sr vtop.VA) { d.v64(sr+0x58, nowhere) }),
		cpu("specials-zero", func(d *dump, _, _, sr vtop.VA) { d.zero(sr, 0xa8) }),
		cpu("Cr3-zero", func(d *dump, _, _, sr vtop.VA) { d.zero(sr+0x10, 8) }),
		cpu("GDT-zero", func(d *dump, _, _, sr vtop.VA) { d.zero(vtop.VA(d.get64(sr+0x58)), 0x60) }),
		cpu("KTHREAD-null", func(d *dump, prcb, _, _ vtop.VA) { d.v64(prcb+8, 0) }),
		cpu("KTHREAD-nowhere", func(d *dump, prcb, _, _ vtop.VA) { d.v64(prcb+8, nowhere) }),
		cpu("EPROCESS-null", func(d *dump, prcb, _, _ vtop.VA) { d.v64(vtop.VA(d.get64(prcb+8))+0xb8, 0) }),
		cpu("DirectoryTableBase-0x5000", func(d *dump, prcb, _, _ vtop.VA) { d.v64(vtop.VA(d.get64(vtop.VA(d.get64(prcb+8))+0xb8))+0x28, 0x5000) }),
		cpu("DirectoryTableBase-nowhere", func(d *dump, prcb, _, _ vtop.VA) {
			d.v64(vtop.VA(d.get64(vtop.VA(d.get64(prcb+8))+0xb8))+0x28, nowhere)
		}),
	)
}
