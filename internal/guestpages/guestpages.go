// Package guestpages makes pages that compress about as those of a running x64
// Windows guest do: zeros, code, pool, text, page tables and what does not
// compress. Measurements stand on it. The shares of the kinds are chosen, not
// those of a certain guest.
//
// The pages are the same in every run, and no two of them are equal but those of
// zeros.
package guestpages

import (
	"encoding/binary"
	"math/rand/v2"
	"unicode/utf16"
)

// Size of a page in bytes.
const Size = 0x1000

// kinds are the kinds of pages and how many of 32 pages are of each.
var kinds = []struct {
	share uint64
	fill  func(b []byte, page uint64, r *rand.Rand)
}{
	{8, zero},
	{8, code},
	{9, pool},
	{2, text},
	{1, table},
	{4, noise},
}

// Fill fills b, whose size is a multiple of Size, with the pages from page on.
func Fill(b []byte, page uint64) {
	for ; len(b) >= Size; b, page = b[Size:], page+1 {
		r := rand.New(rand.NewPCG(page, 0x77696e646d70)) //nolint:gosec // the same in every run
		kind(page)(b[:Size], page, r)
	}
}

// kind chooses a page's kind. Neighbours are mostly of one kind, as in a guest.
func kind(page uint64) func(b []byte, page uint64, r *rand.Rand) {
	const cluster = 16
	r := rand.New(rand.NewPCG(page/cluster, 1)) //nolint:gosec // the same in every run
	at := r.Uint64N(32)
	for _, k := range kinds {
		if at < k.share {
			return k.fill
		}
		at -= k.share
	}
	return noise
}

func zero(b []byte, _ uint64, _ *rand.Rand) { clear(b) }

// noise is what media, ciphers and packed files leave.
func noise(b []byte, _ uint64, r *rand.Rand) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, r.Uint64())
	}
}

// instructions are frequent x64 instructions, as compilers choose them; the
// number is how many bytes of them vary.
var instructions = []struct {
	bytes string
	vary  int
}{
	{"\x48\x8b\x05\x00\x00\x00\x00", 3},
	{"\x48\x89\x5c\x24\x08", 1},
	{"\x48\x8b\xc8", 1},
	{"\xe8\x00\x00\x00\x00", 3},
	{"\x85\xc0", 1},
	{"\x74\x00", 1},
	{"\x0f\x84\x00\x00\x00\x00", 2},
	{"\x48\x83\xec\x20", 1},
	{"\x48\x83\xc4\x20", 1},
	{"\x5f\xc3", 0},
	{"\xcc\xcc\xcc\xcc\xcc\xcc", 0},
	{"\x33\xd2", 0},
	{"\x4c\x8b\x44\x24\x30", 1},
	{"\x44\x8b\x43\x10", 1},
	{"\xba\x01\x00\x00\x00", 1},
	{"\x48\x8d\x4d\xe0", 1},
	{"\xeb\x00", 1},
	{"\x41\xff\xd0", 0},
	{"\x66\x0f\x1f\x44\x00\x00", 0},
}

// code is a page of a driver or a program. What the last bytes of an instruction
// are, an operand, differs from one to the next.
func code(b []byte, _ uint64, r *rand.Rand) {
	for len(b) > 0 {
		x := r.Uint64()
		in := instructions[x%uint64(len(instructions))]
		n := copy(b, in.bytes)
		if vary := min(in.vary, n); vary > 0 && x>>60 > 4 {
			for i := range vary {
				b[n-vary+i] = byte(x >> (16 + 8*i)) //nolint:gosec // its lowest byte
			}
		}
		b = b[n:]
	}
}

// tags of pool blocks.
var tags = []string{"Ntfx", "MmSt", "File", "Thre", "Proc", "Even", "AfdE", "CM25", "Irp ", "FMfn"}

// pool is kernel memory in blocks: a header of 16 bytes, then pointers, counts
// and zeros.
func pool(b []byte, page uint64, r *rand.Rand) {
	le := binary.LittleEndian
	base := 0xffffb98000000000 | page<<12
	for len(b) >= 16 {
		size := min(int(r.Uint64N(12)+2)*16, len(b)) //nolint:gosec // small
		block := b[:size]
		b = b[size:]
		le.PutUint32(block, uint32(size)/16<<16|3) //nolint:gosec // small
		copy(block[4:], tags[r.Uint64N(uint64(len(tags)))])
		for block = block[8:]; len(block) >= 8; block = block[8:] {
			switch x := r.Uint64(); {
			case x>>62 == 0: // a pointer nearby
				le.PutUint64(block, base+x&0xfff0)
			case x>>61 == 2: // one somewhere else
				le.PutUint64(block, 0xffffb98000000000|x&0x3fffffff0)
			case x>>61 == 3:
				le.PutUint64(block, x&0xff)
			default:
				clear(block[:8])
			}
		}
	}
}

var words = []string{
	"Windows", "System32", "drivers", "Microsoft", "Registry", "Machine", "Software", "Device",
	"HarddiskVolume", "Program Files", "Users", "CurrentControlSet", "Services", "Parameters", ".dll", ".sys",
}

// text is names and paths in UTF-16.
func text(b []byte, _ uint64, r *rand.Rand) {
	for len(b) >= 2 {
		x := r.Uint64()
		word := words[x%uint64(len(words))] + string('a'+rune(x>>32%26)) + string('0'+rune(x>>40%10)) + `\`
		for _, c := range utf16.Encode([]rune(word)) {
			if len(b) < 2 {
				return
			}
			binary.LittleEndian.PutUint16(b, c)
			b = b[2:]
		}
	}
}

// table is a page table whose entries go on for a while and then jump.
func table(b []byte, page uint64, r *rand.Rand) {
	pfn := page
	for ; len(b) >= 8; b = b[8:] {
		x := r.Uint64()
		if x>>60 == 0 {
			pfn = x & 0xfffff
		}
		pfn++
		entry := pfn<<12 | 0x8000000000000063
		if x>>59 == 2 {
			entry = 0
		}
		binary.LittleEndian.PutUint64(b, entry)
	}
}
