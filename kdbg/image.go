package kdbg

import (
	"debug/pe"
	"fmt"
	"io"
	"unsafe"

	gope "www.velocidex.com/golang/go-pe"

	"windmp/vtop"
)

// Values of the PE format (Microsoft, "PE Format").
const (
	dosMagic    = 0x5a4d     // "MZ"
	peSignature = 0x00004550 // "PE\0\0"
	pe32Plus    = 0x20b
	pe32        = 0x10b
	// maxPEOffset bounds e_lfanew: the headers of a loaded image start in its
	// first page.
	maxPEOffset = pageSize
)

// ImageError says that the memory at an address is no PE image of x64, or not
// enough of it is readable to tell.
type ImageError struct {
	Base  vtop.VA
	Field string
	Got   uint64
	Want  string
	Err   error // if reading ended there, otherwise nil
}

// Error gives the field and what is wrong with it.
func (e *ImageError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("image at %v: %s: %v", e.Base, e.Field, e.Err)
	}
	return fmt.Sprintf("image at %v: %s: got %#x, want %s", e.Base, e.Field, e.Got, e.Want)
}

// Unwrap returns Err.
func (e *ImageError) Unwrap() error { return e.Err }

// ImageSize returns SizeOfImage in bytes of the PE image of the space's pointer
// size, x64 or x86, mapped at base: at
// most [MaxImageSize], a multiple of the page size. Errors are [ImageError],
// wrapping the *vtop.FaultError where the headers are not readable.
func ImageSize(s *vtop.Space, base vtop.VA) (uint32, error) {
	r := &firstError{r: s.Window(base, MaxImageSize)}
	dos := gope.NewPeProfile().IMAGE_DOS_HEADER(r, 0)
	p := prober{r: r, base: base}
	p.want("e_magic", uint64(dos.E_magic()), dosMagic)
	p.between("e_lfanew", int64(dos.E_lfanew()), int64(dos.Size()), maxPEOffset)
	if p.err != nil {
		return 0, p.err
	}
	nt := dos.NTHeader()
	p.want("Signature", uint64(nt.Signature()), peSignature)
	machine, magic := uint64(pe.IMAGE_FILE_MACHINE_AMD64), uint64(pe32Plus)
	if s.PointerSize() == pointerSize32 {
		machine, magic = pe.IMAGE_FILE_MACHINE_I386, pe32
	}
	p.want("Machine", nt.FileHeader().Machine().Value, machine)
	p.want("Magic", uint64(nt.OptionalHeader().Magic()), magic)
	// SizeOfImage is at the same offset in PE32.
	size := gope.ParseUint32(r, nt.OptionalHeader().Offset+int64(unsafe.Offsetof(pe.OptionalHeader64{}.SizeOfImage)))
	p.between("SizeOfImage", int64(size), pageSize, MaxImageSize)
	if size%pageSize != 0 {
		p.refuse("SizeOfImage", uint64(size), "a multiple of 0x1000")
	}
	if p.err != nil {
		return 0, p.err
	}
	return size, nil
}

// firstError remembers the first error of reading: go-pe returns zeros for
// what it can't read.
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
	if p.r.err != nil || got != want {
		p.refuse(field, got, fmt.Sprintf("%#x", want))
	}
}

func (p *prober) between(field string, got, low, high int64) {
	if p.r.err != nil || got < low || got > high {
		p.refuse(field, uint64(got), fmt.Sprintf("%#x..%#x", low, high)) //nolint:gosec // shown only
	}
}

func (p *prober) refuse(field string, got uint64, want string) {
	if p.err == nil {
		p.err = &ImageError{Base: p.base, Field: field, Got: got, Want: want, Err: p.r.err}
	}
}
