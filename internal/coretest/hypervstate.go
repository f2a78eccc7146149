package coretest

import (
	"bytes"
	"encoding/binary"

	"windmp/physmem"
)

// state is partition_state.
func (o HyperV) state(cpus []physmem.CPU) []byte {
	b := make([]byte, 0x40+16) // a header of 0x40 bytes
	chunk := func(id uint32, parts ...any) {
		var d []byte
		for _, p := range parts {
			d, _ = binary.Append(d, le, p)
		}
		b = le.AppendUint32(b, id)
		b = le.AppendUint32(b, uint32(len(d)))
		b = append(append(b, make([]byte, 8)...), d...)
	}
	prolog := make([]byte, 4064)
	copy(prolog, "udTP")
	prolog[8] = 1
	chunk(0x00000000, prolog)
	chunk(0x20000000, make([]byte, 0x333)) // CPUID, whatever it is
	chunk(0x20001000, o.OSID, uint64(0))
	chunk(0x30000000, uint32(0), uint64(1)<<len(cpus)-1)
	for i, cpu := range cpus {
		c := physmem.X86Of(cpu)
		chunk(0x30001000, uint32(i), make([]byte, 12))
		if !o.VBS {
			o.registers(chunk, c)
			continue
		}
		other := *c
		other.Rip, other.CR3, other.GS.Base, other.Rsp = 0x1111, 0x2000, 0x3333, 0x4444
		other.KernelGSBase = 0x5555
		chunk(0x3001a000, uint8(1), make([]byte, 15))
		o.registers(chunk, &other)
		chunk(0x3001a000, uint8(0), make([]byte, 15))
		o.registers(chunk, c)
		chunk(0x3001a000, uint8(1), make([]byte, 15))
		chunk(0x30018000, make([]byte, 32))
	}
	chunk(0xf0000000)
	le.PutUint64(b, 0x18)
	le.PutUint64(b[8:], 0x40)
	le.PutUint64(b[16:], uint64(len(b)))
	return b
}

// registers writes the chunks of a processor.
func (o HyperV) registers(chunk func(id uint32, parts ...any), c *physmem.X86) {
	efer := uint64(0x0d01)
	if c.Is32 {
		efer = 0x800
	}
	chunk(0x30005000, []uint64{
		c.Rax, c.Rcx, c.Rdx, c.Rbx, c.Rsp, c.Rbp, c.Rsi, c.Rdi,
		c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15, c.Rip, c.Rflags,
	})
	if c.FX != nil {
		chunk(0x30006000, c.FX[160:416], c.FX[32:160], c.FX[:16], c.FX[16:32])
	}
	chunk(0x30007000, []uint64{c.CR0, c.CR2, c.CR3, c.CR4, 0xf, efer})
	if d := c.Debug; d != nil {
		chunk(0x30008000, []uint64{d.Dr0, d.Dr1, d.Dr2, d.Dr3, d.Dr6, d.Dr7})
	}
	var segments []byte
	for _, s := range []physmem.Segment{c.ES, c.CS, c.SS, c.DS, c.FS, c.GS, c.LDT, c.TR} {
		segments = le.AppendUint64(segments, s.Base)
		segments = le.AppendUint32(segments, s.Limit)
		segments = le.AppendUint16(segments, s.Selector)
		segments = le.AppendUint16(segments, uint16(s.Flags>>8&0xf0ff|s.Limit>>16&0xf<<8))
	}
	chunk(0x30009000, segments, uint8(c.CS.Selector&3), make([]byte, 15))
	chunk(0x3000a000, make([]byte, 6), uint16(c.IDT.Limit), c.IDT.Base, make([]byte, 6), uint16(c.GDT.Limit), c.GDT.Base)
	if m := c.MSR; m != nil && !o.NoMSRs {
		chunk(0x3000b000, []uint64{0x123456789, c.KernelGSBase, 0xfee00900, 0, 0, 0, 0, m.STAR, m.LSTAR, m.CSTAR, m.SFMASK, 0})
		chunk(0x3000c000, m.PAT, make([]byte, 0x100))
	}
	chunk(0x3000d000, uint64(7), make([]byte, 56))
}

// hvPackBlock compresses a MiB: pages that are one value of 8 bytes over and over,
// packed pages, plain ones, and at the end, where the records allow it, a page in two
// parts.
func hvPackBlock(mib []byte) []byte {
	var out []byte
	for at := 0; at < len(mib); {
		page := mib[at:][:4096]
		run := 0
		for at+run*4096 < len(mib) && hvIsFilled(mib[at+run*4096:][:4096], page[:8]) {
			run++
		}
		switch {
		case run == 1:
			out = append(le.AppendUint32(out, 0xfffffffe), page[:8]...)
			at += 4096
		case run > 1:
			out = append(le.AppendUint32(out, 0xfffffffd), page[:8]...)
			out = le.AppendUint32(out, uint32(run))
			at += run * 4096
		case at%(7*4096) == 0:
			for _, part := range [][]byte{page[:1000], page[1000:]} {
				out = le.AppendUint32(out, 0xfffffffc)
				out = le.AppendUint32(out, uint32(len(part)))
				out = hvRecord(out, part)
			}
			at += 4096
		default:
			out = hvRecord(out, page)
			at += 4096
		}
	}
	return le.AppendUint32(out, 0xffffffff)
}

// hvIsFilled: a page is the same 8 bytes over and over.
func hvIsFilled(page, value []byte) bool {
	return bytes.HasPrefix(page, value) && bytes.Equal(page[len(value):], page[:len(page)-len(value)])
}

// hvRecord appends a packed page or part of one, or a plain one.
func hvRecord(out, part []byte) []byte {
	if p := XpressPack(part); len(p) < len(part) {
		return append(le.AppendUint32(out, uint32(len(p))), p...)
	}
	return append(le.AppendUint32(out, uint32(len(part))), part...)
}

// hvPlaces is where bytes were last seen, by a hash of the next three: a map of them
// took most of the time of the tests of Hyper-V.
type hvPlaces [1 << 12]int32

// swap returns the place, at least 0, where the same three bytes may have been, or -1,
// and keeps at for the next time.
func (h *hvPlaces) swap(b []byte, at int) int {
	slot := (uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16) * 2654435761 >> 20
	was := h[slot] - 1
	h[slot] = int32(at + 1)
	return int(was)
}

// XpressPack packs by plain LZ77 as [MS-XCA] 2.3 has it.
func XpressPack(src []byte) []byte {
	var (
		out     = make([]byte, 4, 8+len(src)+len(src)/8) // room for flags
		flags   uint32
		count   int
		flagsAt int
		half    = -1 // where a half byte is to be used
		last    hvPlaces
		flag    = func(v uint32) {
			flags = flags<<1 | v
			if count++; count == 32 {
				le.PutUint32(out[flagsAt:], flags)
				flagsAt, count, flags = len(out), 0, 0
				out = append(out, 0, 0, 0, 0)
			}
		}
	)
	for at := 0; at < len(src); {
		length, from := 0, 0
		if at+3 <= len(src) {
			if p := last.swap(src[at:], at); p >= 0 && at-p <= 8192 {
				from = p
				for at+length < len(src) && src[p+length] == src[at+length] {
					length++
				}
			}
		}
		if length < 3 {
			out = append(out, src[at])
			at++
			flag(0)
			continue
		}
		out = hvMatch(out, at-from, length-3, &half)
		at += length
		// The flag comes behind the bytes: they are of the group that it is in.
		flag(1)
	}
	for range 32 - count {
		flags = flags<<1 | 1
	}
	if count > 0 {
		le.PutUint32(out[flagsAt:], flags)
	}
	return out
}

// hvMatch appends a match: how far back, and its length less 3.
func hvMatch(out []byte, distance, length int, half *int) []byte {
	out = le.AppendUint16(out, uint16((distance-1)<<3|min(length, 7)))
	if length < 7 {
		return out
	}
	nibble := byte(min(length-7, 15))
	if *half < 0 {
		*half = len(out)
		out = append(out, nibble)
	} else {
		out[*half] |= nibble << 4
		*half = -1
	}
	if length-7 < 15 {
		return out
	}
	out = append(out, byte(min(length-22, 255)))
	switch {
	case length-22 < 255:
		return out
	case length < 1<<16:
		return le.AppendUint16(out, uint16(length))
	default:
		return le.AppendUint32(le.AppendUint16(out, 0), uint32(length))
	}
}
