package peimage

import (
	"debug/pe"
	"errors"
	"fmt"
	"io"

	"windmp/physmem"
	"windmp/vtop"
)

// MaxSize bounds an image, bytes. The kernel of build 26100 has addresses up to
// nt+0x1201a70; this is three times as much.
const MaxSize = 64 << 20

// DOSMagic is what an image begins with, "MZ" (Microsoft, "PE Format").
const DOSMagic = 0x5a4d

const (
	peSignature = 0x00004550 // "PE\0\0"
	// maxPEOffset bounds e_lfanew: the headers of a loaded image start in its
	// first page.
	maxPEOffset = pageSize
	pageSize    = physmem.PageSize
)

// Format tells the images of one machine from others (Microsoft, "PE Format").
type Format struct {
	Machine uint16 // of IMAGE_FILE_HEADER
	Magic   uint16 // of the optional header: 0x20b for PE32+, 0x10b for PE32
}

// Formats of the machines that Windows runs on.
var (
	X64 = Format{Machine: pe.IMAGE_FILE_MACHINE_AMD64, Magic: 0x20b}
	X86 = Format{Machine: pe.IMAGE_FILE_MACHINE_I386, Magic: 0x10b}
	// ARM64 is also of images of the form ARM64X, as the kernel's is not.
	ARM64 = Format{Machine: pe.IMAGE_FILE_MACHINE_ARM64, Magic: 0x20b}
)

var (
	// ErrNoSuchPart says that an image has no such directory.
	ErrNoSuchPart = errors.New("the image has none")
	// ErrBadString says that a string's length or characters can't be right.
	ErrBadString = errors.New("malformed string")
)

// Error says that the memory at an address is no image of the format that is
// looked for, or that not enough of it is readable to tell.
type Error struct {
	Base  vtop.VA
	Field string
	Got   uint64
	Want  string
	Err   error // if reading ended there, otherwise nil
}

// Error gives the field and what is wrong with it.
func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("image at %v: %s: %v", e.Base, e.Field, e.Err)
	}
	return fmt.Sprintf("image at %v: %s: got %#x, want %s", e.Base, e.Field, e.Got, e.Want)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Begins reports whether the memory at va begins as an image does: "MZ".
func Begins(s *vtop.Space, va vtop.VA) bool {
	magic, err := s.Uint16(va)
	return err == nil && magic == DOSMagic
}

// MachineOf is the machine of the image mapped at base, by its headers. Errors are those
// of [Size].
func MachineOf(s *vtop.Space, base vtop.VA) (uint16, error) {
	p, nt := headersAt(s, base)
	if p.err != nil {
		return 0, p.err
	}
	machine := nt.machine()
	p.check("Machine", uint64(machine), true, "a machine type")
	return machine, p.err
}

// headersAt goes to the PE headers of the image mapped at base. Where the prober has an
// error there are none.
func headersAt(s *vtop.Space, base vtop.VA) (*prober, structures) {
	r := &firstError{r: s.Window(base, MaxSize)}
	p, nt := &prober{r: r, base: base}, structuresOf(r)
	p.want("e_magic", uint64(nt.dosMagic()), DOSMagic)
	p.between("e_lfanew", nt.lfanew(), dosHeaderSize, maxPEOffset)
	if p.err != nil {
		return p, nil
	}
	p.want("Signature", uint64(nt.signature()), peSignature)
	return p, nt
}

// Size returns SizeOfImage in bytes of the image mapped at base: at most [MaxSize], a
// multiple of the page size. Errors are an [Error], which wraps the *vtop.FaultError
// where the headers are not readable.
func Size(s *vtop.Space, base vtop.VA, f Format) (uint32, error) {
	p, nt := headersAt(s, base)
	if p.err != nil {
		return 0, p.err
	}
	p.want("Machine", uint64(nt.machine()), uint64(f.Machine))
	p.want("Magic", uint64(nt.magic()), uint64(f.Magic))
	size := nt.sizeOfImage()
	p.between("SizeOfImage", int64(size), pageSize, MaxSize)
	if size%pageSize != 0 {
		p.refuse("SizeOfImage", uint64(size), "a multiple of 0x1000")
	}
	if p.err != nil {
		return 0, p.err
	}
	return size, nil
}

// firstError remembers the first error of reading: fields are zero where they can't
// be read.
type firstError struct {
	r   io.ReaderAt
	err error
}

// ReadAt reads from the image; offset 0 is its base.
func (f *firstError) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.r.ReadAt(p, off)
	if err != nil && f.err == nil {
		f.err = err
	}
	return n, err
}

// prober checks fields in order and keeps the first refusal.
type prober struct {
	r    *firstError
	base vtop.VA
	err  error
}

func (p *prober) want(field string, got, want uint64) {
	p.check(field, got, got == want, fmt.Sprintf("%#x", want))
}

func (p *prober) check(field string, got uint64, ok bool, want string) {
	if p.r.err != nil || !ok {
		p.refuse(field, got, want)
	}
}

func (p *prober) between(field string, got, low, high int64) {
	if p.r.err != nil || got < low || got > high {
		p.refuse(field, uint64(got), fmt.Sprintf("%#x..%#x", low, high)) //nolint:gosec // shown only
	}
}

func (p *prober) refuse(field string, got uint64, want string) {
	if p.err == nil {
		p.err = &Error{Base: p.base, Field: field, Got: got, Want: want, Err: p.r.err}
	}
}
