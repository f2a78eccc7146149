package guestsim

import (
	"encoding/binary"
	"fmt"
	"slices"

	_ "windmp/internal/testheap" // whoever tests with guests makes many
)

// Guest is a synthetic guest. Its exported fields say where things are; change
// memory through its methods, the header in place through [Guest.Header].
type Guest struct {
	// Options are those that New was given, defaults filled in. File may be
	// changed before a call of [Guest.ELF].
	Options Options

	// DTB is the physical address of the System process' top-level page table.
	DTB uint64
	// ShadowDTB is that of the root that maps only nt's first page, 0 without
	// Options.Shadow.
	ShadowDTB uint64

	// KDBG is the address of KdDebuggerDataBlock, Plain its decoded contents.
	KDBG  uint64
	Plain []byte
	// KDBGCopy is the address of the decoded copy that the fwcfg64 driver keeps
	// and names in BugcheckParameter1.
	KDBGCopy uint64
	// Flag, WaitNever and WaitAlways are the addresses of nt!KdpDataBlockEncoded,
	// nt!KiWaitNever and nt!KiWaitAlways.
	Flag, WaitNever, WaitAlways uint64

	// Kernel variables, by the names in KDBG.
	PsLoadedModuleList, PsActiveProcessHead, KiProcessorBlock uint64
	KiBugcheckData, MmPfnDatabase, NtBuildLab                 uint64
	ImageSize                                                 uint32
	GDT, IDT, EProcess, KdVersionBlock                        uint64

	// Modules is the loader list in order, Processors Windows' processors by
	// KiProcessorBlock's order, VCPUs what the notes carry, by file order.
	Modules    []Module
	Processors []Processor
	VCPUs      []VCPU

	mem      *memory
	tables   *tables
	shadow   *tables
	header   []byte
	runs     []Range
	profile  profile
	poolNext uint64

	initialProcess, buildNumber uint64 // nt!PsInitialSystemProcess, nt!NtBuildNumber
	numberProcessors            uint64 // nt!KeNumberProcessors
}

// profile is what differs between the builds and is not in KDBG.
type profile struct {
	kdbgRVA      uint64 // any data page: real dumps give only the offset in the page
	sizeOfImage  uint32
	contextPage  uint64 // offset in its page of the buffer that KPRCB.Context points to
	pid, links   uint64 // EPROCESS.UniqueProcessId, ActiveProcessLinks
	imageName    uint64 // EPROCESS.ImageFileName
	major, minor uint32
	lab          string
}

// Observed in dumps of the three builds; EPROCESS offsets also Volatility's
// profiles.
var profiles = map[uint32]profile{
	9600:  {0x2c8530, 0x781000, 0x340, 0x2e0, 0x2e8, 0x438, 6, 3, "9600.16384.amd64fre.winblue_rtm.130821-1623"},
	19041: {0xc17b20, 0x1046000, 0x340, 0x440, 0x448, 0x5a8, 10, 0, "19041.1.amd64fre.vb_release.191206-1406"},
	26100: {0xe0b040, 0x144f000, 0x350, 0x1d0, 0x1d8, 0x338, 10, 0, "26100.1.amd64fre.ge_release.240331-1435"},
}

// New builds a guest.
func New(opt Options) *Guest {
	g := &Guest{Options: opt.withDefaults(), poolNext: poolBase}
	g.profile = profiles[g.Options.Build]
	g.ImageSize = g.profile.sizeOfImage
	g.layRAM()
	g.newSpace()
	g.placeKDBG()
	g.buildKernelImage()
	g.buildVariables()
	g.buildModules()
	g.buildSharedUserData()
	g.buildProcessors()
	g.writeKDBG()
	g.buildLowStub()
	g.buildHeader()
	return g
}

func (opt Options) withDefaults() Options {
	if opt.CPUs == 0 {
		opt.CPUs = 1
	}
	if opt.Build == 0 {
		opt.Build = 19041
	}
	if opt.WaitNever == 0 && opt.WaitAlways == 0 {
		opt.WaitNever, opt.WaitAlways = DefaultWaitNever, DefaultWaitAlways
	}
	if opt.VCPUOrder == nil {
		for i := range opt.CPUs {
			opt.VCPUOrder = append(opt.VCPUOrder, i)
		}
	}
	return opt
}

// layRAM lays out RAM as a small q35 machine has it: low memory, a second piece
// from 1 MiB, one above 4 GiB, and ROM below 4 GiB; the runs leave out page 0
// and the last page of low memory, as firmware does.
func (g *Guest) layRAM() {
	ram, runs := g.Options.RAM, g.Options.Runs
	if ram == nil {
		more := uint64(max(0, g.Options.CPUs-2)) * 8 * pageSize
		if g.Options.Shadow {
			more += uint64(g.Options.CPUs+2) * 16 * pageSize
		}
		ram = []Range{{0, 0x20000}, {0x100000, 0x10000 + more}, {0xfffc0000, 0x1000}, {0x100000000, 0x10000}}
		if runs == nil {
			runs = []Range{{0x1000, 0x1e000}, ram[1], ram[3]}
		}
	} else if runs == nil {
		runs = ram
	}
	if g.Options.VGA {
		ram = append(slices.Clone(ram), Range{0xfd000000, 0x2000})
	}
	slices.SortFunc(ram, func(a, b Range) int {
		if a.Start < b.Start {
			return -1
		}
		return 1
	})
	g.runs = runs
	g.mem = newMemory(ram, runs, g.Options.Seed)
}

// newSpace makes the top-level tables, in RAM like any other page.
func (g *Guest) newSpace() {
	levels, soft := 4, uint64(0)
	if g.Options.LA57 {
		levels = 5
	}
	if g.Options.SoftwareBits {
		soft = pteSoft
	}
	g.DTB = g.mem.alloc()
	g.tables = newTables(g.mem, g.DTB, levels, soft)
	g.Plain = KDBGBlock(g.Options.Build, KernBase)
	if !g.Options.NoSelfMap && !g.Options.LA57 {
		g.tables.set(g.DTB+g.selfMapIndex()*8, g.DTB|pteTable|pteNX)
	}
	if g.Options.MapAll {
		for _, b := range g.mem.blocks {
			const large = 2 << 20
			for pa := b.Start &^ (large - 1); pa < b.End(); pa += large {
				g.tables.leaf(MapAllBase+pa, pa, 2, pteLeaf|pteNX)
			}
		}
	}
	if g.Options.Shadow {
		g.ShadowDTB = g.mem.alloc()
		g.shadow = newTables(g.mem, g.ShadowDTB, levels, soft)
	}
}

// selfMapIndex is the PML4 slot that KDBG.PteBase implies; builds before 1607
// have no PteBase and always used 0x1ed.
func (g *Guest) selfMapIndex() uint64 {
	if base, ok := kdbgField("PteBase").Value(g.Options.Build, KernBase); ok {
		return base >> 39 & 511
	}
	return 0x1ed
}

// Field reads a field of the decoded KDBG by its wdbgexts.h name.
func (g *Guest) Field(name string) uint64 {
	f := kdbgField(name)
	var b [8]byte
	copy(b[:f.Size], g.Plain[f.Offset:])
	return binary.LittleEndian.Uint64(b[:])
}

// SetField changes a field of KDBG, in the block, encoded or not, and in the
// driver's copy.
func (g *Guest) SetField(name string, v uint64) {
	putField(g.Plain, kdbgField(name), v)
	g.writeKDBG()
}

// pool takes n bytes of pool memory, 16 bytes aligned, in one page.
func (g *Guest) pool(n uint64) uint64 {
	if n > pageSize {
		panic(fmt.Sprintf("guestsim: %#x bytes of pool in one piece", n))
	}
	at := (g.poolNext + 15) &^ 15
	if at%pageSize+n > pageSize {
		at = (at + pageSize - 1) &^ (pageSize - 1)
	}
	g.poolNext = at + n
	g.Map(at, n)
	return at
}
