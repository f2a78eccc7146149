package peimage

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"windmp/vtop"
)

const (
	// maxExports bounds an export directory: ordinals have 16 bits.
	maxExports = 1 << 16
	// exportReach is how far behind an export an address may be that is told by it,
	// bytes.
	exportReach = 64 << 10
	// exportDirectorySize is the size of IMAGE_EXPORT_DIRECTORY, bytes (Microsoft, "PE
	// Format").
	exportDirectorySize = 40
)

// Exports are what an image exports, by address. Names are read when they are asked
// for. What is forwarded to other images is not among them.
type Exports struct {
	headers *Headers
	names   uint32 // RVA of the table of names
	list    []export
}

// export is one by its address; name is its index in the table of names.
type export struct {
	rva, name uint32
}

// nameless is for an export that has an ordinal alone.
const nameless = ^uint32(0)

// Export is an exported function or variable.
type Export struct {
	Name string
	RVA  uint32
}

// ReadExports reads the tables of the export directory: some 10 bytes an export.
// Errors are [ErrNoSuchPart], an [Error], or a *vtop.FaultError wrapped.
func (h *Headers) ReadExports(s *vtop.Space) (*Exports, error) {
	if h.Exports.Size == 0 {
		return nil, fmt.Errorf("export directory: %w", ErrNoSuchPart)
	}
	le := binary.LittleEndian
	var d [exportDirectorySize]byte
	if err := h.read(s, d[:], h.Exports.RVA, "export directory"); err != nil {
		return nil, err
	}
	functions, err := h.table(s, le.Uint32(d[28:]), le.Uint32(d[20:]), 4, "exported addresses")
	if err != nil {
		return nil, err
	}
	ordinals, err := h.table(s, le.Uint32(d[36:]), le.Uint32(d[24:]), 2, "ordinals of exported names")
	if err != nil {
		return nil, err
	}
	e := &Exports{headers: h, names: le.Uint32(d[32:])}
	e.list = h.exported(functions, ordinals)
	return e, nil
}

// exported joins the tables and sorts by address; of equal ones the first name is first.
func (h *Headers) exported(functions, ordinals []byte) []export {
	le := binary.LittleEndian
	list := make([]export, 0, len(functions)/4)
	name := make([]uint32, len(functions)/4)
	for i := range name {
		name[i] = nameless
	}
	for i := range len(ordinals) / 2 {
		if o := int(le.Uint16(ordinals[2*i:])); o < len(name) && name[o] == nameless {
			name[o] = uint32(i)
		}
	}
	for i, n := range name {
		rva := le.Uint32(functions[4*i:])
		forwarded := rva-h.Exports.RVA < h.Exports.Size
		if rva != 0 && rva < h.Size && !forwarded {
			list = append(list, export{rva, n})
		}
	}
	slices.SortStableFunc(list, func(a, b export) int {
		return cmp.Or(cmp.Compare(a.rva, b.rva), cmp.Compare(a.name, b.name))
	})
	return list
}

// Nearest returns the export at or below an RVA that is nearest to it: in the same
// section, less than 64 KiB below. That alone does not say that what lies there belongs
// to it: whoever knows where the function begins compares. It is false where there is
// none, where the nearest one has no name, and where that is not readable.
func (e *Exports) Nearest(s *vtop.Space, rva uint32) (Export, bool) {
	i, found := slices.BinarySearchFunc(e.list, rva, func(x export, rva uint32) int { return cmp.Compare(x.rva, rva) })
	if !found {
		i--
	}
	if i < 0 {
		return Export{}, false
	}
	at := e.list[i].rva
	for i > 0 && e.list[i-1].rva == at { // to the first of equal ones, which has a name
		i--
	}
	section := e.headers.Section(rva)
	if rva-at >= exportReach || section == nil || section != e.headers.Section(at) || e.list[i].name == nameless {
		return Export{}, false
	}
	name, ok := e.name(s, e.list[i].name)
	return Export{Name: name, RVA: at}, ok
}

// name reads a name by its index.
func (e *Exports) name(s *vtop.Space, i uint32) (string, bool) {
	var b [4]byte
	if err := e.headers.read(s, b[:], e.names+4*i, "exported name"); err != nil {
		return "", false
	}
	v := &imageView{space: s, base: e.headers.Base, size: int64(e.headers.Size)}
	name, err := v.text(int64(binary.LittleEndian.Uint32(b[:])))
	return name, err == nil
}

// table reads n entries of a size at an RVA.
func (h *Headers) table(s *vtop.Space, rva, n, size uint32, what string) ([]byte, error) {
	if n > maxExports {
		return nil, &Error{Base: h.Base, Field: what, Got: uint64(n), Want: fmt.Sprintf("at most %#x", maxExports)}
	}
	if err := h.within(rva, n*size, what); err != nil {
		return nil, err
	}
	b := make([]byte, n*size)
	return b, h.read(s, b, rva, what)
}

// read fills b from an RVA.
func (h *Headers) read(s *vtop.Space, b []byte, rva uint32, what string) error {
	if err := h.within(rva, uint32(len(b)), what); err != nil { //nolint:gosec // at most 4*maxExports
		return err
	}
	if _, err := s.ReadVirtual(b, h.Base+vtop.VA(rva)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// within checks that n bytes at an RVA lie in the image.
func (h *Headers) within(rva, n uint32, what string) error {
	if rva > h.Size || n > h.Size-rva {
		return &Error{Base: h.Base, Field: what, Got: uint64(rva), Want: fmt.Sprintf("%#x bytes below SizeOfImage %#x", n, h.Size)}
	}
	return nil
}
