package guestsim

import "encoding/binary"

// Handler is what IDT[0] leads to.
const Handler = KernBase + 0x3f8a00

// directoryOffset is where in KPCR the entry stubs find the kernel's page tables,
// KPRCB.KernelDirectoryTableBase (public disassemblies, Volatility's profiles).
func (g *Guest) directoryOffset() uint64 {
	switch {
	case g.Options.StubOffset != 0:
		return uint64(g.Options.StubOffset)
	case g.Options.Build == 9600:
		return 0x5000 // any: not in the table of known ones
	case g.Options.Build == 19041:
		return 0x9000
	default:
		return 0xa000
	}
}

// buildEntry writes the IDT and the code that its first gate leads to: the way to
// the kernel's base, and with KVA shadowing to the kernel's page tables.
func (g *Guest) buildEntry() {
	const gate = Handler&0xffff | 0x10<<16 | 0x8e00<<32 | (Handler>>16&0xffff)<<48
	g.put64(g.IDT, gate, Handler>>32)
	code := []byte("\x48\x83\xec\x08\x55\x48\x81\xec\x58\x01\x00\x00")
	if g.Options.Shadow {
		// test byte [rsp+8], 1; je; swapgs; mov rsp, gs:[...]; mov cr3, rsp;
		// mov rsp, gs:[...+8]
		code = []byte("\xf6\x44\x24\x08\x01\x74\x3f\x0f\x01\xf8\x65\x48\x8b\x24\x25")
		code = binary.LittleEndian.AppendUint32(code, uint32(g.directoryOffset()))
		code = append(code, "\x0f\x22\xdc\x65\x48\x8b\x24\x25"...)
		code = binary.LittleEndian.AppendUint32(code, uint32(g.directoryOffset())+8)
	}
	g.put(Handler, code)
	g.share(g.IDT, 0x20)
	g.share(Handler, uint64(len(code)))
}

// share maps pages into the shadow root too, if there is one.
func (g *Guest) share(va, n uint64) {
	if g.shadow == nil {
		return
	}
	for p := va &^ (pageSize - 1); p <= va+n-1; p += pageSize {
		g.shadow.leaf(p, g.PA(p), 1, pteLeaf)
	}
}

// buildVersionBlock writes DBGKD_GET_VERSION64, which is never encoded.
func (g *Guest) buildVersionBlock() {
	v := g.KdVersionBlock
	g.put16(v, 0xf)
	g.put16(v+2, uint16(g.Options.Build))
	g.put16(v+4, 0x0206)
	g.put16(v+6, 0x47)
	g.put16(v+8, 0x8664)
	g.put64(v+0x10, KernBase, g.PsLoadedModuleList, g.Field("List.Flink"))
}

// buildLowStub writes a PROCESSOR_START_BLOCK into a page below 1 MiB (MemProcFS,
// public definitions).
func (g *Guest) buildLowStub() {
	if !g.Options.LowStub {
		return
	}
	pa := g.mem.allocBelow(1 << 20)
	put := func(off, v uint64) { g.mem.write(pa+off, binary.LittleEndian.AppendUint64(nil, v)) }
	put(0x00, 0x00000001000606e9)
	put(0x70, KernBase+0x401000)
	put(0xa0, g.DTB)
	put(0xa8, g.cr4())
	put(0x150, KernBase+0x401180)
}

// Root is a further set of page tables.
type Root struct {
	DTB    uint64
	guest  *Guest
	tables *tables
}

// NewRoot makes empty page tables beside the guest's own.
func (g *Guest) NewRoot() *Root {
	levels := 4
	if g.Options.LA57 {
		levels = 5
	}
	dtb := g.mem.alloc()
	return &Root{DTB: dtb, guest: g, tables: newTables(g.mem, dtb, levels, 0)}
}

// Within runs f with the guest's methods working on r's page tables.
func (r *Root) Within(f func()) {
	was := r.guest.tables
	r.guest.tables = r.tables
	defer func() { r.guest.tables = was }()
	f()
}
