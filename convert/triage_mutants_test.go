package convert_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// triageMutant is a triage dump that differs from a good one in one thing.
type triageMutant struct {
	name   string
	change func(d *triageDump)
}

// triageMutants are what is changed in the triage dumps of each machine.
func triageMutants() []triageMutant {
	list := slices.Concat(triageRecordMutants(), triageHeaderMutants(), triagePartMutants(), triageBlockMutants(), triageFileMutants())
	return append(list, triageMutant{name: "good", change: func(*triageDump) {}})
}

// far is an offset behind the end of every dump that is made here.
const far = 0x400000

// fields makes a mutant for each value of a field.
func triageFields(of string, set func(d *triageDump, field string, v uint64), field string, list ...uint64) []triageMutant {
	var out []triageMutant
	for _, v := range list {
		out = append(out, triageMutant{fmt.Sprintf("%s%s-%#x", of, field, v), func(d *triageDump) { set(d, field, v) }})
	}
	return out
}

func triageRecordMutants() []triageMutant {
	var list []triageMutant
	for _, field := range []string{
		"ValidOffset", "ContextOffset", "ExceptionOffset", "MmOffset", "UnloadedDriversOffset", "PrcbOffset", "ProcessOffset",
		"ThreadOffset", "CallStackOffset", "SizeOfCallStack", "DriverListOffset", "StringPoolOffset", "StringPoolSize",
		"BrokenDriverOffset", "DebuggerDataOffset", "DebuggerDataSize", "DataBlocksOffset",
	} {
		list = append(list, triageFields("", (*triageDump).record, field, 0, far, 0xffffffff)...)
	}
	return slices.Concat(list,
		triageFields("", (*triageDump).record, "ServicePackBuild", 0x100),
		triageFields("", (*triageDump).record, "SizeOfDump", 0, 4, far, 0xffffffff),
		triageFields("", (*triageDump).record, "DriverCount", 0, 1, 1000, 100000),
		triageFields("", (*triageDump).record, "TriageOptions", 0),
		triageFields("", (*triageDump).record, "TopOfStack", 0, 0x1000),
		triageFields("", (*triageDump).record, "DataPageAddress", 0x1000),
		triageFields("", (*triageDump).record, "DebuggerDataSize", 0x318, 0x200, 0x10),
		triageFields("", (*triageDump).record, "DataBlocksCount", 0, 1, 1000, 0x10000000, 0xffffffff),
	)
}

func triageHeaderMutants() []triageMutant {
	header := func(field string, list ...uint64) []triageMutant {
		return triageFields("header-", (*triageDump).header, field, list...)
	}
	return slices.Concat(
		header("Signature", 0), header("ValidDump", 0), header("MachineImageType", 0, 0x200),
		header("MajorVersion", 0, fill32), header("MinorVersion", 0, 1, 7601, fill32),
		header("DirectoryTableBase", 0, fill32), header("PfnDataBase", 0),
		header("PsLoadedModuleList", 0, 0x1000), header("PsActiveProcessHead", 0),
		header("NumberProcessors", 0, 1, 2, 3, 0x501, fill32),
		header("BugCheckCode", 0, fill32), header("KdDebuggerDataBlock", 0, 0x1000),
		header("Exception.ExceptionCode", 0, 0xc0000005, fill32), header("Exception.ExceptionFlags", 0),
		header("DumpType", 1, 2, 5, 7),
		header("MiniDumpFields", 0, fill32, 0xff, 0x400, 0x4ff, 0x8ff, 0xcff, 0xdff, 0xffffffff),
		header("RequiredDumpSpace", 0, 0x100), header("SystemTime", 0), header("SystemUpTime", 0),
		header("ProductType", 0), header("SuiteMask", 0), header("SecondaryDataState", 0), header("NumberOfRuns", 0, 1, 1000),
		[]triageMutant{
			{"header-Context-zero", func(d *triageDump) {
				f, _ := d.f.Header.Field("Context")
				clear(d.b[f.Offset:][:f.Size])
			}},
			{"header-fill", func(d *triageDump) {
				f, _ := d.f.Header.Field("Comment")
				for i := range f.Size {
					d.b[f.Offset+i] = "PAGE"[i%4]
				}
			}},
		},
	)
}

func triagePartMutants() []triageMutant {
	kdbg32 := func(name string, off int, list ...uint32) (out []triageMutant) {
		for _, v := range list {
			out = append(out, triageMutant{fmt.Sprintf("kdbg-%s-%#x", name, v), func(d *triageDump) { d.kdbg32(off, v) }})
		}
		return out
	}
	kdbg64 := func(name string, off int, list ...uint64) (out []triageMutant) {
		for _, v := range list {
			out = append(out, triageMutant{fmt.Sprintf("kdbg-%s-%#x", name, v), func(d *triageDump) { d.kdbg64(off, v) }})
		}
		return out
	}
	kdbg16 := func(name string, off int, list ...uint16) (out []triageMutant) {
		for _, v := range list {
			out = append(out, triageMutant{fmt.Sprintf("kdbg-%s-%#x", name, v), func(d *triageDump) { d.kdbg16(off, v) }})
		}
		return out
	}
	number := func(d *triageDump) uint32 {
		return d.r.PrcbOffset + uint32(binary.LittleEndian.Uint16(d.kdbg[0x2be:]))
	}
	thread := func(d *triageDump) uint32 {
		return d.r.PrcbOffset + uint32(binary.LittleEndian.Uint16(d.kdbg[0x2b4:]))
	}
	return slices.Concat(
		kdbg32("OwnerTag", 0x10, 0, 0x4742444c), kdbg32("Size", 0x14, 0, 0x10, 0x208, 0x318, 0x340, 0x1000, 0x10000),
		kdbg64("KernBase", 0x18, 0, 0x1000), kdbg64("PsLoadedModuleList", 0x48, 0, 0x1000), kdbg64("MmPageSize", 0x138, 0),
		kdbg64("NtBuildLab", 0x208, 0), kdbg64("KiProcessorBlock", 0x218, 0), kdbg64("KiBugcheckData", 0x88, 0),
		kdbg16("OffsetKThreadApcProcess", 0x2a0, 0, 0xff00), kdbg16("SizeEProcess", 0x2a8, 0, 0xffff), kdbg16("SizePrcb", 0x2b0, 0, 0xffff),
		kdbg16("OffsetPrcbCurrentThread", 0x2b4, 0, 0xff00), kdbg16("OffsetPrcbNumber", 0x2be, 0, 0xff00), kdbg16("SizeEThread", 0x2c0, 0, 0xffff),
		kdbg16("OffsetPrcbProcStateSpecialReg", 0x2f2, 0), kdbg16("OffsetPrcbContext", 0x338, 0),
		[]triageMutant{
			{"prcb-Number-7", func(d *triageDump) { binary.LittleEndian.PutUint32(d.b[number(d):], 7) }},
			{"prcb-Number-0", func(d *triageDump) { binary.LittleEndian.PutUint32(d.b[number(d):], 0) }},
			{"prcb-CurrentThread-null", func(d *triageDump) { d.pointer(thread(d), 0) }},
			{"prcb-CurrentThread-nowhere", func(d *triageDump) { d.pointer(thread(d), d.f.KernelStart+0x12345000) }},
			{"prcb-zero", func(d *triageDump) { clear(d.b[d.r.PrcbOffset:d.r.ProcessOffset]) }},
			{"process-zero", func(d *triageDump) { clear(d.b[d.r.ProcessOffset:d.r.ThreadOffset]) }},
			{"thread-zero", func(d *triageDump) { clear(d.b[d.r.ThreadOffset:d.r.CallStackOffset]) }},
			{"stack-zero", func(d *triageDump) { clear(d.b[d.r.CallStackOffset:][:d.r.SizeOfCallStack]) }},
			{"mm-zero", func(d *triageDump) { clear(d.b[d.r.MmOffset:d.r.UnloadedDriversOffset]) }},
			{"mm-Version-7", func(d *triageDump) { d.b[d.r.MmOffset] = 7 }},
			{"unloaded-Count-0", func(d *triageDump) { clear(d.b[d.r.UnloadedDriversOffset:][:4]) }},
			{"unloaded-Count-50", func(d *triageDump) { binary.LittleEndian.PutUint32(d.b[d.r.UnloadedDriversOffset:], 50) }},
			{"unloaded-Count-100000", func(d *triageDump) { binary.LittleEndian.PutUint32(d.b[d.r.UnloadedDriversOffset:], 100000) }},
			{"driver0-base-0", func(d *triageDump) { d.driver(0, "DllBase", 0) }},
			{"driver1-base-0", func(d *triageDump) { d.driver(1, "DllBase", 0) }},
			{"driver0-size-0", func(d *triageDump) { d.driver(0, "SizeOfImage", 0) }},
			{"driver0-base-user", func(d *triageDump) { d.driver(0, "DllBase", 0x10000) }},
			{"driver1-timestamp-0", func(d *triageDump) { d.driver(1, "TimeDateStamp", 0) }},
			{"driver1-checksum-0", func(d *triageDump) { d.driver(1, "CheckSum", 0) }},
			{"driver0-name-0", func(d *triageDump) { d.driver(0, "NameOffset", 0) }},
			{"driver1-name-0", func(d *triageDump) { d.driver(1, "NameOffset", 0) }},
			{"driver1-name-far", func(d *triageDump) { d.driver(1, "NameOffset", far) }},
			{"name0-length-0", func(d *triageDump) { binary.LittleEndian.PutUint32(d.b[d.r.StringPoolOffset:], 0) }},
			{"name0-length-0x200", func(d *triageDump) { binary.LittleEndian.PutUint32(d.b[d.r.StringPoolOffset:], 0x200) }},
			{"name0-length-huge", func(d *triageDump) { binary.LittleEndian.PutUint32(d.b[d.r.StringPoolOffset:], 0x7fffffff) }},
			{"drivers-swapped", func(d *triageDump) {
				n := uint32(d.f.Triage.Driver.Size())
				a := slices.Clone(d.b[d.r.DriverListOffset:][:n])
				copy(d.b[d.r.DriverListOffset:], d.b[d.r.DriverListOffset+n:][:n])
				copy(d.b[d.r.DriverListOffset+n:], a)
			}},
		},
	)
}

func triageBlockMutants() []triageMutant {
	change := func(name string, to func(d *triageDump, address uint64, offset, size uint32) (uint64, uint32, uint32)) triageMutant {
		return triageMutant{"block-" + name, func(d *triageDump) {
			address, offset, size := d.blockAt(1)
			address, offset, size = to(d, address, offset, size)
			d.block(1, address, offset, size)
		}}
	}
	return []triageMutant{
		change("size-0", func(_ *triageDump, a uint64, o, _ uint32) (uint64, uint32, uint32) { return a, o, 0 }),
		change("size-1", func(_ *triageDump, a uint64, o, _ uint32) (uint64, uint32, uint32) { return a, o, 1 }),
		change("past-end", func(_ *triageDump, a uint64, o, _ uint32) (uint64, uint32, uint32) { return a, o, far }),
		change("size-huge", func(_ *triageDump, a uint64, o, _ uint32) (uint64, uint32, uint32) { return a, o, 0xffffffff }),
		change("offset-far", func(_ *triageDump, a uint64, _, s uint32) (uint64, uint32, uint32) { return a, far, s }),
		change("offset-0", func(_ *triageDump, a uint64, _, s uint32) (uint64, uint32, uint32) { return a, 0, s }),
		change("offset-huge", func(_ *triageDump, a uint64, _, s uint32) (uint64, uint32, uint32) { return a, 0xffffff00, s }),
		change("over-TRGD", func(d *triageDump, a uint64, _, _ uint32) (uint64, uint32, uint32) { return a, d.r.SizeOfDump - 4, 4 }),
		change("address-0", func(_ *triageDump, _ uint64, o, s uint32) (uint64, uint32, uint32) { return 0, o, s }),
		change("address-user", func(_ *triageDump, _ uint64, o, s uint32) (uint64, uint32, uint32) { return 0x7ff00000, o, s }),
		change("address-odd", func(_ *triageDump, a uint64, o, s uint32) (uint64, uint32, uint32) { return a + 1, o, s }),
		change("address-not-canonical", func(_ *triageDump, _ uint64, o, s uint32) (uint64, uint32, uint32) { return 0x8000000000001000, o, s }),
		change("address-not-extended", func(_ *triageDump, a uint64, o, s uint32) (uint64, uint32, uint32) { return a & 0xffffffff, o, s }),
		change("address-last", func(_ *triageDump, _ uint64, o, s uint32) (uint64, uint32, uint32) { return 0xfffffffffffff800, o, s }),
		change("over-stack", func(d *triageDump, _ uint64, o, s uint32) (uint64, uint32, uint32) { return d.r.TopOfStack, o, s }),
		change("over-first", func(d *triageDump, _ uint64, o, s uint32) (uint64, uint32, uint32) {
			a, _, _ := d.blockAt(0)
			return a, o, s
		}),
	}
}

func triageFileMutants() []triageMutant {
	cut := func(name string, keep func(d *triageDump) int) triageMutant {
		return triageMutant{"file-" + name, func(d *triageDump) { d.b = d.b[:keep(d)] }}
	}
	return []triageMutant{
		cut("byte-missing", func(d *triageDump) int { return len(d.b) - 1 }),
		cut("4-bytes-missing", func(d *triageDump) int { return len(d.b) - 4 }),
		cut("half", func(d *triageDump) int { return len(d.b) / 2 }),
		cut("record-alone", func(d *triageDump) int { return d.f.Size() + d.f.Triage.Record.Size() }),
		cut("header-alone", func(d *triageDump) int { return d.f.Size() }),
		cut("record-cut", func(d *triageDump) int { return d.f.Size() + 8 }),
		{"file-more", func(d *triageDump) { d.b = append(d.b, make([]byte, 0x1000)...) }},
		{"TRGD-wrong", func(d *triageDump) { d.b[len(d.b)-1]++ }},
		{"TRGD-zero", func(d *triageDump) { clear(d.b[len(d.b)-4:]) }},
		{"secondary", func(d *triageDump) { d.b = append(d.b, secondary(4)...) }},
		{"secondary-cut", func(d *triageDump) { d.b = append(d.b, secondary(0x1000)...) }},
	}
}

// secondary is secondary data with a blob that claims n bytes and has 4.
func secondary(n uint32) []byte {
	b := append([]byte("DumpBlob"), make([]byte, 0x2c)...)
	binary.LittleEndian.PutUint32(b[8:], 0x10)
	binary.LittleEndian.PutUint32(b[0xc:], 0xf0004a61)
	binary.LittleEndian.PutUint32(b[0x10:], 0x20)
	b[0x14] = 7
	binary.LittleEndian.PutUint32(b[0x24:], n)
	return b
}

// TestWriteTriageMutants writes the mutants where -mutants says.
func TestWriteTriageMutants(t *testing.T) {
	t.Parallel()
	if *mutantsDir == "" {
		t.Skip("-mutants=FOLDER writes the mutated dumps there")
	}
	for _, s := range triageSamples {
		base := triageOf(t, winDump(t, s.sample))
		for _, m := range triageMutants() {
			if m.name != "good" && !s.mutants {
				continue
			}
			d := base.clone()
			m.change(d)
			require.NoError(t, os.WriteFile(filepath.Join(*mutantsDir, m.name+"-"+s.name+".dmp"), d.b, 0o644))
		}
	}
}
