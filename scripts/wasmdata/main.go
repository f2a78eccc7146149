// Command wasmdata joins the data of a WebAssembly module:
//
//	wasmdata <IN >OUT
//
// Go's linker leaves out the zeros within data, from a few bytes on, and writes as many
// segments as a module may have, 100,000. The same memory in a few segments is larger as it
// lies, a fifteenth smaller when it is packed, and sooner in its place. The format is that
// of the WebAssembly Core Specification 2.0, 5.5.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	header      = "\x00asm\x01\x00\x00\x00"
	sectionData = 11
	// maxGap is up to how many zeros, in bytes, are written rather than left out.
	maxGap = 1 << 10

	opConst = 0x41 // i32.const
	opEnd   = 0x0b
)

var errCut = errors.New("the module ends within a number or a section")

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "wasmdata:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	module, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	joined, err := join(module)
	if err != nil {
		return err
	}
	_, err = out.Write(joined)
	return err
}

// join is the module with few data segments.
func join(module []byte) ([]byte, error) {
	if len(module) < len(header) || string(module[:len(header)]) != header {
		return nil, errors.New("no WebAssembly module of version 1")
	}
	out := []byte(header)
	r := reader{rest: module[len(header):]}
	for len(r.rest) > 0 {
		kind, body := r.byte(), r.bytes()
		if r.err != nil {
			return nil, r.err
		}
		if kind == sectionData {
			list, err := segments(body)
			if err != nil {
				return nil, err
			}
			body = encode(joinSegments(list))
		}
		out = appendBytes(append(out, kind), body)
	}
	return out, nil
}

// segment is what stands in memory at an offset.
type segment struct {
	offset int64
	data   []byte
}

// segments are those of a data section. All of them are at fixed offsets of the one memory,
// as Go's linker writes them; anything else is an error.
func segments(body []byte) ([]segment, error) {
	r := reader{rest: body}
	var list []segment
	for n := r.unsigned(); n > 0 && r.err == nil; n-- {
		if mode := r.unsigned(); mode != 0 || r.byte() != opConst {
			return nil, errors.Join(errors.New("a data segment is not at a fixed offset"), r.err)
		}
		s := segment{offset: r.signed()}
		if r.byte() != opEnd {
			return nil, errors.Join(errors.New("the offset of a data segment is more than a number"), r.err)
		}
		s.data = r.bytes()
		list = append(list, s)
	}
	return list, r.err
}

// joinSegments are the same bytes in fewer segments, those between them zeros. A segment
// that does not follow the one before stays by itself.
func joinSegments(list []segment) []segment {
	var out []segment
	for _, s := range list {
		if len(out) > 0 {
			last := &out[len(out)-1]
			if gap := s.offset - last.offset - int64(len(last.data)); gap >= 0 && gap <= maxGap {
				last.data = append(append(last.data, make([]byte, gap)...), s.data...)
				continue
			}
		}
		out = append(out, segment{s.offset, append([]byte{}, s.data...)})
	}
	return out
}

func encode(list []segment) []byte {
	body := binary.AppendUvarint(nil, uint64(len(list)))
	for _, s := range list {
		body = append(body, 0, opConst)
		body = appendSigned(body, s.offset)
		body = appendBytes(append(body, opEnd), s.data)
	}
	return body
}

func appendBytes(to, data []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(data))), data...)
}

// appendSigned appends a signed number (LEB128, 5.2.2).
func appendSigned(to []byte, n int64) []byte {
	for n < -0x40 || n >= 0x40 {
		to = append(to, byte(n&0x7f)|0x80)
		n >>= 7
	}
	return append(to, byte(n&0x7f))
}

// reader reads a module from its start. After an error all that it reads is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.err = errCut
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// unsigned reads a number as encoding/binary has it too.
func (r *reader) unsigned() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.rest, r.err = nil, errCut
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) signed() int64 {
	var n int64
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		n |= int64(b&0x7f) << shift
		if b&0x80 == 0 {
			if b&0x40 != 0 && shift < 57 {
				n |= -1 << (shift + 7)
			}
			return n
		}
	}
	r.err = errCut
	return 0
}

// bytes reads a vector of bytes: how many there are, and they.
func (r *reader) bytes() []byte {
	n := r.unsigned()
	if n > uint64(len(r.rest)) {
		r.rest, r.err = nil, errCut
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
