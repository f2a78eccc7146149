package open

import (
	"bytes"
	"encoding/binary"

	"windmp/internal/binio"
	"windmp/physmem"
)

// A probe is a file that is being recognised: its first sniffSize bytes, and all of
// it for those who must look farther. What can't be read there speaks for nothing.
type probe struct {
	head []byte
	src  physmem.Source
}

// read returns n bytes of the file, nil where it has less.
func (p *probe) read(at uint64, n int) []byte {
	b := make([]byte, n)
	if off, ok := binio.Int64(at); !ok || binio.ReadFull(p.src, b, off) != nil {
		return nil
	}
	return b
}

// isAFF4 reports whether a zip archive is an AFF4 volume: its comment is the
// volume's URN, and its first member describes the container (AFF4 standard 1.0,
// 2.1). The comment is behind the end of central directory, 22 bytes.
func (p *probe) isAFF4() bool {
	const nameAt, tail, urn = 30, 0x200, "aff4://"
	name := p.head[min(nameAt, len(p.head)):]
	if bytes.HasPrefix(name, []byte("container.description")) || bytes.HasPrefix(name, []byte("information.turtle")) {
		return true
	}
	size := binio.Uint64(p.src.Size())
	n := min(size, tail)
	return bytes.Contains(p.read(size-n, int(n)), []byte(urn))
}

const (
	// bootMark is where a boot sector has its mark, partitions where an MBR has four
	// entries of 16 bytes (UEFI 2.10, 5.2.1): the first byte is the boot indicator,
	// the fifth the type.
	bootMark   = 0x1fe
	partitions = 0x1be
)

// hasPartitions reports whether a boot sector has a table of partitions that can be
// one. Memory has the mark there by chance.
func (p *probe) hasPartitions() bool {
	const entry, typeAt, active = 16, 4, 0x80
	used := 0
	for at := partitions; at < bootMark; at += entry {
		e := p.head[at : at+entry]
		switch {
		case e[0] != 0 && e[0] != active:
			return false
		case e[typeAt] != 0:
			used++
		case !binio.IsZero(e):
			return false
		}
	}
	return used > 0
}

// hasInterruptTable reports whether memory begins with the interrupt table of a BIOS:
// 256 entries of offset and segment, of which those for hardware and BIOS services,
// 0 to 0x1f, lead into ROM, which lies from segment 0xc000 on (IBM PC/AT Technical
// Reference).
func hasInterruptTable(head []byte) bool {
	const entries, entry, rom, enough = 0x20, 4, 0xc000, 24
	if len(head) < entries*entry {
		return false
	}
	n := 0
	for i := range entries {
		if binary.LittleEndian.Uint16(head[i*entry+2:]) >= rom && binary.LittleEndian.Uint32(head[i*entry:]) != 0xffffffff {
			n++
		}
	}
	return n >= enough
}
