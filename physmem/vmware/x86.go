package vmware

import (
	"encoding/binary"
	"strings"

	"windmp/physmem"
)

// maxCPUs caps the processors; vSphere 8 has 960 at most.
const maxCPUs = 1 << 10

// Places in what is kept of a processor: general registers by the numbers of the
// instruction set (Intel SDM volume 2, table 2-1), and rip behind them.
const (
	regRSP   = 4
	regRBP   = 5
	regRIP   = 16
	regCount = 17
)

// generalNames are the registers' names in newer files, and the 32-bit ones that stand
// beside them.
var (
	generalNames   = [regCount]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"}
	generalNames32 = [regCount]string{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", 16: "eip"}
)

// Segments are numbered as the instruction set does, LDTR and TR behind.
const (
	segES = iota
	segCS
	segSS
	segDS
	segFS
	segGS
	segLDT
	segTR
)

// words are numbered values, with those that are there.
type words struct {
	v    [regCount]uint64
	have uint32
}

func (w *words) set(i uint32, v uint64) {
	if i < regCount && w.have&(1<<i) == 0 {
		w.v[i], w.have = v, w.have|1<<i
	}
}

func (w *words) has(i uint32) bool { return w.have&(1<<i) != 0 }

// of is the wider of two values where it is there.
func of(i uint32, wide, narrow *words) (uint64, bool) {
	if wide.has(i) {
		return wide.v[i], true
	}
	return narrow.v[i], narrow.has(i)
}

// processor is what the file says of one, by the names of its tags.
type processor struct {
	at                   int64 // file offset of its first tag
	wide, narrow         words // general registers
	block                []byte
	cr, cr32, dr, dr32   words
	gdt, idt             words // limit, low and high half of the base
	selector, limit, ar  words
	base, base32, eflags words
}

// takeCPU takes what the file says of the processors. Unknown tags are left: there are
// hundreds, and each product adds some.
func (s *state) takeCPU(t *tag) {
	if t.name == "cpu:numVCPUs" {
		s.cpuCount, _ = t.number()
		return
	}
	take := cpuTags[t.name]
	if take == nil || t.indices == 0 {
		return
	}
	i := t.index[0]
	if i >= maxCPUs {
		s.odd.Add(physmem.OddityLimit, t.offset(), "processor %d is one of more than the %d that are read", i, maxCPUs)
		return
	}
	if t.value == nil {
		s.odd.Add(physmem.OddityCPU, t.offset(), "%s of processor %d is compressed, or too large to be registers; it is left out", t.name, i)
		return
	}
	for uint32(len(s.cpus)) <= i { //nolint:gosec // at most maxCPUs
		s.cpus = append(s.cpus, nil)
	}
	if s.cpus[i] == nil {
		s.cpus[i] = &processor{at: t.offset()}
	}
	take(s.cpus[i], t)
}

// cpuTags are the tags that are read, by their names.
var cpuTags = makeCPUTags()

func makeCPUTags() map[string]func(p *processor, t *tag) {
	m := map[string]func(p *processor, t *tag){
		"gpregs": func(p *processor, t *tag) {
			if len(t.value) == 8*regRIP && p.block == nil {
				p.block = t.value
			}
		},
		"GDTR": func(p *processor, t *tag) { p.gdt.takeTable(t) },
		"IDTR": func(p *processor, t *tag) { p.idt.takeTable(t) },
	}
	at := func(name string, place uint32, of func(p *processor) *words) {
		m[name] = func(p *processor, t *tag) { of(p).take(t, place) }
	}
	for i, name := range generalNames {
		at(name, uint32(i), func(p *processor) *words { return &p.wide })
	}
	for i, name := range generalNames32 {
		if name != "" {
			at(name, uint32(i), func(p *processor) *words { return &p.narrow })
		}
	}
	// Of the flags the file of a running machine has one, of any machine the other, or both.
	at("eflags", 0, func(p *processor) *words { return &p.eflags })
	at("EFLAGS", 1, func(p *processor) *words { return &p.eflags })
	for name, of := range map[string]func(p *processor) *words{
		"CR64": func(p *processor) *words { return &p.cr }, "DR64": func(p *processor) *words { return &p.dr },
	} {
		m[name] = func(p *processor, t *tag) { of(p).takeAll(t) }
	}
	for name, of := range map[string]func(p *processor) *words{
		"CR": func(p *processor) *words { return &p.cr32 }, "DR": func(p *processor) *words { return &p.dr32 },
		"S": func(p *processor) *words { return &p.selector }, "S.limit": func(p *processor) *words { return &p.limit },
		"S.ar": func(p *processor) *words { return &p.ar }, "S.base64": func(p *processor) *words { return &p.base },
		"S.base": func(p *processor) *words { return &p.base32 },
	} {
		m[name] = func(p *processor, t *tag) { of(p).takeOne(t) }
	}
	return m
}

// take takes a number.
func (w *words) take(t *tag, place uint32) {
	if v, ok := t.number(); ok {
		w.set(place, v)
	}
}

// takeOne takes one of several numbers, by the tag's second index.
func (w *words) takeOne(t *tag) {
	if t.indices > 1 {
		w.take(t, t.index[1])
	}
}

// takeAll takes one of several numbers, or all of them in one block, by their order.
func (w *words) takeAll(t *tag) {
	if t.indices > 1 || !t.block || len(t.value)%8 != 0 {
		w.takeOne(t)
		return
	}
	for i := range len(t.value) / 8 {
		w.set(uint32(i), binary.LittleEndian.Uint64(t.value[8*i:]))
	}
}

// tableSize is the size of a descriptor table register.
const tableSize = 10

// takeTable takes a descriptor table register: limit and the halves of the base by the
// tag's second index, or all in one block.
func (w *words) takeTable(t *tag) {
	if t.indices > 1 {
		w.take(t, t.index[1])
		return
	}
	if len(t.value) == tableSize {
		base := binary.LittleEndian.Uint64(t.value[2:])
		w.set(0, uint64(binary.LittleEndian.Uint16(t.value)))
		w.set(1, base&0xffffffff)
		w.set(2, base>>32)
	}
}

// table is the descriptor table register.
func (w *words) table() physmem.Segment {
	return physmem.Segment{Limit: uint32(w.v[0] & 0xffff), Base: w.v[1]&0xffffffff | w.v[2]<<32}
}

// registers are the processors in the order of their numbers.
func (s *state) registers() []physmem.CPU {
	var list []physmem.CPU
	var states []*physmem.X86
	for i, p := range s.cpus {
		if p == nil {
			s.odd.Add(physmem.OddityCPU, 0, "processor %d has no registers in the file", i)
			continue
		}
		s.general(i, p)
		if _, ok := of(regRIP, &p.wide, &p.narrow); !ok {
			s.odd.Add(physmem.OddityCPU, p.at, "processor %d has no rip; its registers are left out", i)
			continue
		}
		x := p.x86()
		states = append(states, x)
		list = append(list, physmem.CPU{Index: len(list), ID: uint32(i), NoteOffset: p.at, Registers: x})
	}
	if n := uint64(len(list)); s.cpuCount != 0 && n != s.cpuCount {
		s.odd.Add(physmem.OddityCPU, 0, "the state counts %d processors, there are registers of %d", s.cpuCount, n)
	}
	is32 := true
	for _, x := range states {
		is32 = is32 && !isWide(x)
	}
	for _, x := range states {
		x.Is32 = is32
	}
	return list
}

// general fills in the general registers that a block of them has, and notes those
// that are nowhere.
func (s *state) general(number int, p *processor) {
	if p.block != nil {
		var v [regRIP]uint64
		for i := range v {
			v[i] = binary.LittleEndian.Uint64(p.block[8*i:])
		}
		sp, sure := stackOf(v[regRSP], v[regRBP], p)
		if !sure {
			s.odd.Add(physmem.OddityCPU, p.at, "processor %d: which of two registers is rsp and which rbp, nothing tells; the first is taken for rsp", number).Because("0x%x and 0x%x", v[sp], v[regRSP+regRBP-sp])
		}
		v[regRSP], v[regRBP] = v[sp], v[regRSP+regRBP-sp]
		for i := range v {
			p.wide.set(uint32(i), v[i])
		}
	}
	var missing []string
	for i, name := range generalNames32 {
		if name == "" {
			continue
		}
		if _, ok := of(uint32(i), &p.wide, &p.narrow); !ok && i != regRIP {
			missing = append(missing, generalNames[i])
		}
	}
	if len(missing) > 0 {
		s.odd.Add(physmem.OddityCPU, p.at, "processor %d: %s are not in the file and read as 0", number, strings.Join(missing, ", "))
	}
}

// stackOf tells which of the two registers in the middle of a block of general
// registers is rsp, the one at place 4 or that at place 5, and whether that is sure.
// The instruction set has rsp first, VMware's reader in crash, the only one that takes
// such a block, rbp. A stack pointer is aligned and, in the kernel, in its half; of two that are, the lower one is it if both are of one stack, and else the one
// that the reader takes.
func stackOf(at4, at5 uint64, p *processor) (place int, sure bool) {
	if p.wide.has(regRSP) {
		return regRSP, true // a tag of its own says it; what the block has is not looked at
	}
	const oneStack = 1 << 16
	ip, _ := of(regRIP, &p.wide, &p.narrow)
	can4, can5 := canBeStack(at4, ip), canBeStack(at5, ip)
	switch {
	case at4 == at5 || can4 && !can5:
		return regRSP, true
	case can5 && !can4:
		return regRBP, true
	case can4 && at4 < at5 && at5-at4 < oneStack:
		return regRSP, true
	case can4 && at5 < at4 && at4-at5 < oneStack:
		return regRBP, true
	}
	return regRBP, false
}

// canBeStack reports whether a value can be the stack pointer of code at ip. Code in the
// kernel's half has its stack there.
func canBeStack(v, ip uint64) bool {
	const canonical, half32 = 47, 1 << 31 // addresses of 57 bits have the same upper end
	switch {
	case v == 0:
		return false
	case v>>32 == 0 && ip>>32 == 0:
		return v%4 == 0 && (ip < half32 || v >= half32)
	}
	top := int64(v) >> canonical                                 //nolint:gosec // as the processor extends it
	return v%8 == 0 && (top == 0 && int64(ip) >= 0 || top == -1) //nolint:gosec // the sign is the half
}

// x86 are the registers in the words that all containers share.
func (p *processor) x86() *physmem.X86 {
	r := func(i uint32) uint64 { v, _ := of(i, &p.wide, &p.narrow); return v }
	cr := func(i uint32) uint64 { v, _ := of(i, &p.cr, &p.cr32); return v }
	x := &physmem.X86{
		Rax: r(0), Rcx: r(1), Rdx: r(2), Rbx: r(3), Rsp: r(regRSP), Rbp: r(regRBP), Rsi: r(6), Rdi: r(7),
		R8: r(8), R9: r(9), R10: r(10), R11: r(11), R12: r(12), R13: r(13), R14: r(14), R15: r(15),
		Rip: r(regRIP), Rflags: p.eflags.v[0] | p.eflags.v[1],
		ES: p.segment(segES), CS: p.segment(segCS), SS: p.segment(segSS), DS: p.segment(segDS),
		FS: p.segment(segFS), GS: p.segment(segGS), LDT: p.segment(segLDT), TR: p.segment(segTR),
		GDT: p.gdt.table(), IDT: p.idt.table(),
		CR0: cr(0), CR2: cr(2), CR3: cr(3), CR4: cr(4),
		HasSystem: p.hasSystem(), Debug: p.debug(),
	}
	return x
}

// hasSystem reports whether the control registers and the descriptor tables are there.
func (p *processor) hasSystem() bool {
	for _, i := range []uint32{0, 3, 4} {
		if _, ok := of(i, &p.cr, &p.cr32); !ok {
			return false
		}
	}
	return p.gdt.has(1) && p.idt.has(1)
}

// segment is a segment register. Its rights are taken for those of VT-x.
func (p *processor) segment(i uint32) physmem.Segment {
	base, _ := of(i, &p.base, &p.base32)
	return physmem.Segment{
		Selector: uint16(p.selector.v[i] & 0xffff), Limit: uint32(p.limit.v[i] & 0xffffffff), Base: base,
		Flags: physmem.RightsFlags(uint32(p.ar.v[i] & 0xffffffff)),
	}
}

// debug are the debug registers, nil if they are not all there.
func (p *processor) debug() *physmem.DebugRegs {
	var v [8]uint64
	for _, i := range []uint32{0, 1, 2, 3, 6, 7} {
		var ok bool
		if v[i], ok = of(i, &p.dr, &p.dr32); !ok {
			return nil
		}
	}
	return &physmem.DebugRegs{Dr0: v[0], Dr1: v[1], Dr2: v[2], Dr3: v[3], Dr6: v[6], Dr7: v[7]}
}

// isWide reports whether a processor was one of a 64-bit system: it ran 64-bit code, or
// has an address that no 32-bit one has. A 64-bit kernel is above 4 GiB, and with it
// its descriptor tables.
func isWide(x *physmem.X86) bool {
	if x.CS.Flags&physmem.SegmentLong != 0 && x.HasSystem {
		return true
	}
	for _, v := range []uint64{x.Rip, x.Rsp, x.GDT.Base, x.IDT.Base, x.GS.Base, x.TR.Base} {
		if v>>32 != 0 {
			return true
		}
	}
	return false
}
