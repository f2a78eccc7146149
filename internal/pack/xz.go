package pack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ulikunitz/xz"

	"windmp/internal/binio"
)

// xzMemory bounds the dictionary that a forged file can make the decoder allocate: xz -9
// has 64 MiB.
const xzMemory = 64 << 20

// newXz unpacks xz. The decoder allocates the dictionary that a block claims, so that
// each claim is checked before the decoder sees it.
func newXz(r io.Reader) (io.Reader, error) {
	g := &xzGuard{in: bufio.NewReaderSize(r, block)}
	g.next = g.stream
	z, err := xz.NewReader(g)
	return xzReader{z}, asCut(err)
}

// xzReader says of data that is cut what no reader takes for its end.
type xzReader struct{ io.Reader }

// Read implements io.Reader.
func (z xzReader) Read(p []byte) (int, error) {
	n, err := z.Reader.Read(p)
	return n, asCut(err)
}

// ErrCut says that packed data ends before its end.
var ErrCut = errors.New("the data is cut")

// asCut names the error of a reader whose data ends early.
func asCut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return err
}

// An xzGuard passes xz on and refuses what asks for too much memory. It follows the
// structure as the decoder does (The .xz File Format 1.2, sections 2 and 3; LZMA2 as in
// XZ Embedded's xz_dec_lzma2.c).
type xzGuard struct {
	in      *bufio.Reader
	out     []byte       // what was looked at, to be passed on
	pass    uint64       // bytes behind it that are data
	next    func() error // looks at what follows
	check   int64        // bytes of a block's check
	size    uint64       // bytes of the block's data so far
	records uint64       // of the index that are left, two numbers each
	index   uint64       // bytes of the index so far
}

var errXz = errors.New("not the structure of an xz file")

// Read implements io.Reader.
func (g *xzGuard) Read(p []byte) (int, error) {
	for len(g.out) == 0 && g.pass == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	if len(g.out) > 0 {
		n := copy(p, g.out)
		g.out = g.out[n:]
		return n, nil
	}
	n, err := g.in.Read(p[:min(uint64(len(p)), g.pass)])
	g.pass -= uint64(n) //nolint:gosec // not negative
	return n, err
}

// take reads n bytes and passes them on.
func (g *xzGuard) take(n int) ([]byte, error) {
	at := len(g.out)
	g.out = append(g.out, make([]byte, n)...)
	_, err := io.ReadFull(g.in, g.out[at:])
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return g.out[at:], err
}

// stream looks at a stream's header.
func (g *xzGuard) stream() error {
	const header, flagsAt, checkMask = 12, 7, 0xf
	if _, err := g.in.Peek(1); err != nil {
		return err // the end of the file
	}
	b, err := g.take(header)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(b, magicXz) {
		return errXz
	}
	// None, four bytes, eight, sixteen, and so on, three kinds each (2.1.1.2).
	g.check = 0
	if kind := b[flagsAt] & checkMask; kind > 0 {
		g.check = 4 << ((kind - 1) / 3)
	}
	g.next = g.block
	return nil
}

// block looks at a block's header, or the begin of the index.
func (g *xzGuard) block() error {
	const twoFilters, hasPacked, hasUnpacked, lzma2 = 3, 0x40, 0x80, 0x21
	b, err := g.take(1)
	if err != nil {
		return err
	}
	if b[0] == 0 {
		g.index, g.next = 1, g.indexBegin
		return nil
	}
	h, err := g.take(int(b[0])*4 + 3)
	if err != nil {
		return err
	}
	flags, h := h[0], h[1:]
	for _, has := range []byte{hasPacked, hasUnpacked} {
		if flags&has != 0 {
			if _, n := binary.Uvarint(h); n > 0 {
				h = h[n:]
			}
		}
	}
	const filter = 3 // id, size of the properties, dictionary
	if flags&twoFilters != 0 || len(h) < filter || h[0] != lzma2 || h[1] != 1 {
		return errors.New("xz with a filter that is not LZMA2")
	}
	if size := xzDictionary(h[2]); size > xzMemory {
		return fmt.Errorf("xz with a dictionary of %s, at most %s are read", binio.Bytes(size), binio.Bytes(uint64(xzMemory)))
	}
	g.size, g.next = 0, g.chunk
	return nil
}

// xzDictionary is the size of a dictionary (5.3.1): two or three, shifted.
func xzDictionary(b byte) uint64 { return (2 | uint64(b&1)) << min(b/2+11, 60) }

// chunk looks at the header of a chunk of a block.
func (g *xzGuard) chunk() error {
	const plainSize, packedSize, packed, newProperties = 2, 4, 0x80, 0xc0
	b, err := g.take(1)
	if err != nil {
		return err
	}
	switch control := b[0]; {
	case control == 0:
		g.size++
		g.next = g.blockEnd
		return nil
	case control >= packed:
		h, err := g.take(packedSize)
		if err != nil {
			return err
		}
		g.pass = uint64(binary.BigEndian.Uint16(h[2:])) + 1
		if control >= newProperties {
			g.pass++
		}
		g.size += 1 + packedSize + g.pass
	default:
		h, err := g.take(plainSize)
		if err != nil {
			return err
		}
		g.pass = uint64(binary.BigEndian.Uint16(h)) + 1
		g.size += 1 + plainSize + g.pass
	}
	return nil
}

// blockEnd passes over padding and the check.
func (g *xzGuard) blockEnd() error {
	_, err := g.take(int(-g.size&3) + int(g.check))
	g.next = g.block
	return err
}

// number reads a number of the index.
func (g *xzGuard) number() (uint64, error) {
	var v uint64
	for shift := 0; shift < 63; shift += 7 {
		b, err := g.take(1)
		if err != nil {
			return 0, err
		}
		g.index++
		v |= uint64(b[0]&0x7f) << shift
		if b[0]&0x80 == 0 {
			return v, nil
		}
	}
	return 0, errXz
}

// indexBegin looks at how many records the index has.
func (g *xzGuard) indexBegin() error {
	n, err := g.number()
	g.records, g.next = n, g.record
	return err
}

// record passes over a record of the index, or what is behind them: padding, a checksum,
// and the stream's footer. Padding of the file is in words of zeros.
func (g *xzGuard) record() error {
	const crc, footer = 4, 12
	if g.records > 0 {
		g.records--
		if _, err := g.number(); err != nil {
			return err
		}
		_, err := g.number()
		return err
	}
	_, err := g.take(int(-g.index&3) + crc + footer)
	g.next = g.padding
	return err
}

// padding passes over zeros behind a stream.
func (g *xzGuard) padding() error {
	const word = 4
	b, err := g.in.Peek(word)
	if err == nil && bytes.Equal(b, make([]byte, word)) {
		_, err = g.take(word)
		return err
	}
	g.next = g.stream
	return nil
}
