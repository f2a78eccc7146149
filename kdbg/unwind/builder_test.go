package unwind

import (
	"encoding/binary"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// The image that tests build by hand, and their stack: addresses of the kernel.
const (
	imageBase = vtop.VA(0xfffff80010000000)
	imageSize = 0x10000
	textRVA   = 0x1000 // to 0x8000, executable
	dataRVA   = 0x8000 // to 0x10000: unwind data, the exception directory at pdataRVA
	pdataRVA  = 0xe000
	stackTop  = vtop.VA(0xfffff88000010000)
	stackSize = 0x4000
)

// built is an image with functions and a stack.
type built struct {
	*memory
	functions []peimage.Function
	next      uint32 // RVA for the next unwind data
}

func newBuilt() *built {
	b := &built{memory: newMemory(), next: dataRVA}
	b.write(imageBase, make([]byte, imageSize))
	b.write(stackTop-stackSize, make([]byte, stackSize))
	b.code(textRVA, bytesOf(0xcc, 0x7000)...)
	return b
}

func bytesOf(v byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// code writes instructions.
func (b *built) code(rva uint32, code ...byte) { b.write(imageBase+vtop.VA(rva), code) }

// info writes UNWIND_INFO and returns its RVA.
func (b *built) info(info ...byte) uint32 {
	at := b.next
	b.write(imageBase+vtop.VA(at), info)
	b.next += uint32(len(info)+3) &^ 3
	return at
}

// function adds an entry; entries are added in order.
func (b *built) function(begin, end, unwind uint32) peimage.Function {
	f := peimage.Function{Begin: begin, End: end, Unwind: unwind}
	b.functions = append(b.functions, f)
	return f
}

// entry is RUNTIME_FUNCTION.
func entry(f peimage.Function) []byte {
	le := binary.LittleEndian
	return le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, f.Begin), f.End), f.Unwind)
}

// done writes headers and the exception directory.
func (b *built) done() *List {
	var table []byte
	for _, f := range b.functions {
		table = append(table, entry(f)...)
	}
	b.write(imageBase+pdataRVA, table)
	b.headers(len(table))
	return NewList([]*Image{{Base: imageBase, Size: imageSize}})
}

// headers writes those of PE32+, with an exception directory of some bytes.
func (b *built) headers(table int) {
	const nt, optional, sections = 0x80, 0x98, 0x188
	h := make([]byte, 0x200)
	le := binary.LittleEndian
	copy(h, "MZ")
	le.PutUint32(h[0x3c:], nt)
	copy(h[nt:], "PE")
	le.PutUint16(h[nt+4:], 0x8664)
	le.PutUint16(h[nt+6:], 2)
	le.PutUint16(h[nt+0x14:], sections-optional)
	le.PutUint16(h[optional:], 0x20b)
	le.PutUint32(h[optional+0x38:], imageSize)
	le.PutUint32(h[optional+0x3c:], 0x400)
	le.PutUint32(h[optional+0x6c:], 16)
	le.PutUint32(h[optional+0x70+3*8:], pdataRVA)
	le.PutUint32(h[optional+0x74+3*8:], uint32(table))
	for i, s := range []struct {
		name            string
		rva, size, flag uint32
	}{{".text", textRVA, dataRVA - textRVA, 0x60000020}, {".rdata", dataRVA, imageSize - dataRVA, 0x40000040}} {
		at := h[sections+40*i:]
		copy(at, s.name)
		le.PutUint32(at[8:], s.size)
		le.PutUint32(at[12:], s.rva)
		le.PutUint32(at[36:], s.flag)
	}
	b.write(imageBase, h)
}

// at is a state with all registers known: number i holds 0x1000+i.
func at(rva uint32, sp vtop.VA) Frame {
	f := Frame{PC: imageBase + vtop.VA(rva), Exact: true}
	for i := range 16 {
		f.set(i, 0x1000+uint64(i))
	}
	X64.setSP(&f, sp)
	return f
}

var limits = Limits{Low: stackTop - stackSize, High: stackTop}
