package guestsim

import (
	"encoding/binary"
	"unicode/utf16"
)

// placeKDBG settles where KDBG and the variables it names lie.
func (g *Guest) placeKDBG() {
	rva := g.profile.kdbgRVA
	if g.Options.Odd {
		rva = rva&^(pageSize-1) + 0xe38
	}
	if o := g.Options.KDBGOffset; o != 0 {
		rva = rva&^(pageSize-1) + o
	}
	g.KDBG = KernBase + rva
	if n := g.Options.KDBGSize; n != 0 {
		block := make([]byte, n)
		copy(block, g.Plain)
		g.Plain = block
		putField(block, kdbgField("Size"), uint64(n))
	}
	if g.Options.Odd {
		putField(g.Plain, kdbgField("KiBugcheckData"), g.Field("KiBugcheckData")|0xff4)
		putField(g.Plain, kdbgField("KiProcessorBlock"), g.Field("KiProcessorBlock")|0xffc)
	}
	g.PsLoadedModuleList = g.Field("PsLoadedModuleList")
	g.PsActiveProcessHead = g.Field("PsActiveProcessHead")
	g.KiBugcheckData = g.Field("KiBugcheckData")
	g.MmPfnDatabase = g.Field("MmPfnDatabase")
	if len(g.Plain) >= 0x220 {
		g.NtBuildLab = g.Field("NtBuildLab")
		g.KiProcessorBlock = g.Field("KiProcessorBlock")
	}
	// Real addresses of these three are not known; any byte of the data will do.
	vars := g.MmPfnDatabase&^(pageSize-1) + 0x10
	g.WaitNever, g.WaitAlways, g.Flag = vars, vars+8, vars+0x15
	g.KdVersionBlock, g.initialProcess, g.buildNumber, g.numberProcessors = vars+0x240, vars+0x200, vars+0x208, vars+0x210
}

// writeKDBG writes the block, encoded if asked for, and the driver's copy.
func (g *Guest) writeKDBG() {
	block, flag := g.Plain, byte(0)
	if g.Options.Encoded {
		block, flag = Encode(g.Plain, g.Options.WaitNever, g.Options.WaitAlways, g.Flag), 1
	}
	g.put(g.KDBG, block)
	g.put(g.Flag, []byte{flag})
	g.put64(g.WaitNever, g.Options.WaitNever)
	g.put64(g.WaitAlways, g.Options.WaitAlways)
	if g.KDBGCopy == 0 {
		g.KDBGCopy = g.pool(uint64(len(g.Plain)))
	}
	g.put(g.KDBGCopy, g.Plain)
}

// buildVariables writes what KDBG's addresses point to.
func (g *Guest) buildVariables() {
	head := g.Field("List.Flink")
	g.put64(head, g.KDBG, g.KDBG)
	g.put64(g.KiBugcheckData, g.Options.BugCheck[:]...)
	g.put64(g.MmPfnDatabase, 0xffffe28000000000)
	if g.NtBuildLab != 0 {
		g.put(g.NtBuildLab, append([]byte(g.profile.lab), 0))
	}
	if len(g.Plain) >= 0x278 {
		g.put64(g.Field("MmPhysicalMemoryBlock"), g.memoryDescriptor())
	}
	g.buildSystemProcess()
	g.GDT, g.IDT = g.pool(0x70), g.pool(0x20)
	for sel, descriptor := range map[uint64]uint64{
		0x10: 0x00209b0000000000, 0x18: 0x00409300_00000000, 0x20: 0x00cffb000000ffff,
		0x28: 0x00cff3000000ffff, 0x30: 0x0020fb0000000000, 0x50: 0x0040f3000000fc00,
	} {
		g.put64(g.GDT+sel, descriptor)
	}
	g.buildEntry()
	g.buildVersionBlock()
}

// memoryDescriptor is nt's own PHYSICAL_MEMORY_DESCRIPTOR, in pool.
func (g *Guest) memoryDescriptor() uint64 {
	at := g.pool(0x10 + 0x10*uint64(len(g.runs)))
	g.put(at, descriptor(g.runs))
	return at
}

// buildSystemProcess writes the System process' EPROCESS and its list.
func (g *Guest) buildSystemProcess() {
	g.EProcess = g.pool(0xa80)
	p := g.EProcess
	g.put64(p+g.offset("OffsetEprocessDirectoryTableBase", 0x28), g.DTB)
	g.put64(p+g.profile.pid, 4)
	links := p + g.profile.links
	g.put64(links, g.PsActiveProcessHead, g.PsActiveProcessHead)
	g.put64(g.PsActiveProcessHead, links, links)
	g.put(p+g.profile.imageName, []byte("System\x00"))
	g.put64(g.initialProcess, p)
	g.put32(g.buildNumber, 0xf0000000|g.Options.Build)
}

// buildModules writes the loader list: KLDR_DATA_TABLE_ENTRY, the fields that
// it shares with LDR_DATA_TABLE_ENTRY (Volatility's profiles).
func (g *Guest) buildModules() {
	g.Modules = append([]Module{
		{Base: KernBase, EntryPoint: KernBase + 0x98a010, Size: g.ImageSize, Name: "ntoskrnl.exe", FullName: `\SystemRoot\system32\ntoskrnl.exe`},
		{Base: 0xfffff80412b56000, EntryPoint: 0xfffff80412b5b010, Size: 0x6000, Name: "hal.dll", FullName: `\SystemRoot\system32\hal.dll`},
		{Base: 0xfffff80415ee0000, EntryPoint: 0xfffff80415ee9000, Size: 0xa000, Name: "fwcfg.sys", FullName: `\SystemRoot\System32\drivers\fwcfg.sys`},
	}, g.Options.Modules...)
	prev := g.PsLoadedModuleList
	g.Map(prev, 16)
	for i := range g.Modules {
		m := &g.Modules[i]
		m.Entry = g.pool(0xa0)
		g.put64(prev, m.Entry)
		g.put64(m.Entry+8, prev)
		g.put64(m.Entry+0x30, m.Base, m.EntryPoint)
		g.put32(m.Entry+0x40, m.Size)
		g.unicodeString(m.Entry+0x48, m.FullName)
		g.unicodeString(m.Entry+0x58, m.Name)
		prev = m.Entry
	}
	g.put64(prev, g.PsLoadedModuleList)
	g.put64(g.PsLoadedModuleList+8, prev)
}

// unicodeString writes a UNICODE_STRING at va and its buffer into pool.
func (g *Guest) unicodeString(va uint64, s string) {
	b := utf16Bytes(s)
	buf := g.pool(uint64(len(b)) + 2)
	g.put(buf, b)
	g.put16(va, uint16(len(b)))
	g.put16(va+2, uint16(len(b)+2))
	g.put64(va+8, buf)
}

func utf16Bytes(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// Times that the guest's clocks show, in 100 ns: since boot, and since 1601.
const (
	InterruptTime = 0x0000001234567890
	SystemTime    = 0x01db3f2e5a6b7c80
)

// buildSharedUserData writes KUSER_SHARED_DATA by the offsets of Volatility's
// profiles and elf2dmp.
func (g *Guest) buildSharedUserData() {
	at := uint64(SharedUserData)
	systemTime := func(off, v uint64) {
		g.put64(at+off, v)
		g.put32(at+off+8, uint32(v>>32))
	}
	g.Map(at, pageSize)
	systemTime(0x08, InterruptTime)
	systemTime(0x14, SystemTime)
	systemTime(0x320, InterruptTime/156250)
	g.put(at+0x30, utf16Bytes(`C:\Windows`))
	g.put32(at+0x260, 0xf0000000|g.Options.Build)
	g.put32(at+0x264, 1)
	g.put32(at+0x26c, g.profile.major)
	g.put32(at+0x270, g.profile.minor)
	g.put32(at+0x2c4, 7)
	g.put32(at+0x2d0, 0x110)
	g.put32(at+0x2e8, uint32(pages(g.runs)))
	g.put32(at+0x3c0, uint32(g.Options.CPUs))
	if n := g.Options.NumberProcessors; n != 0 {
		g.put32(at+0x26c, 5)
		g.put32(at+0x270, 2)
		g.put32(at+0x3c0, 0x5c3a) // whatever stands there
		g.put(g.numberProcessors, []byte{n})
	}
}
