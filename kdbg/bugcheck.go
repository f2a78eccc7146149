package kdbg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"windmp/vtop"
)

// BugCheck is nt!KiBugCheckData. Code is 0 in a guest that has not crashed.
type BugCheck struct {
	// Code is the low half of the first qword, CodeHigh its upper half, which
	// the dump header keeps as padding.
	Code, CodeHigh uint32
	Parameters     [4]uint64
}

// ReadBugCheck reads the 40 bytes at KDBG.KiBugcheckData (20 of a 32-bit kernel): code and four
// parameters, as KeBugCheckEx got them. The error is a [PointerError] or wraps a
// *vtop.FaultError.
func ReadBugCheck(s *vtop.Space, b *Block) (BugCheck, error) {
	at, err := b.field(s, "KiBugcheckData", unsafe.Offsetof(b.Data.KiBugcheckData), b.Data.KiBugcheckData)
	if err != nil {
		return BugCheck{}, err
	}
	if s.PointerSize() == pointerSize32 {
		return readBugCheck32(s, at)
	}
	var raw [40]byte
	if _, err := s.ReadVirtual(raw[:], at); err != nil {
		return BugCheck{}, fmt.Errorf("KiBugcheckData: %w", err)
	}
	var bc BugCheck
	// It can only refuse a short buffer, and this one has the right size.
	_, _ = binary.Decode(raw[:], binary.LittleEndian, &bc)
	return bc, nil
}

// maxBuildLab bounds NtBuildLab: real ones have about 40 characters.
const maxBuildLab = 128

// BuildLab reads the string at KDBG.NtBuildLab, such as
// "19041.1.amd64fre.vb_release.191206-1406". It must be printable ASCII, ended
// by a zero within 128 bytes, else [ErrBadString]. Other errors: [FieldError],
// [PointerError], a *vtop.FaultError wrapped.
func BuildLab(s *vtop.Space, b *Block) (string, error) {
	at, err := b.field(s, "NtBuildLab", unsafe.Offsetof(b.Data.NtBuildLab), b.Data.NtBuildLab)
	if err != nil {
		return "", err
	}
	var buf [maxBuildLab]byte
	n, readErr := s.ReadVirtual(buf[:], at)
	for i, c := range buf[:n] {
		switch {
		case c == 0:
			return string(buf[:i]), nil
		case c < ' ' || c > '~':
			return "", fmt.Errorf("NtBuildLab at %v: %w: byte %#x at +%#x is not printable ASCII", at, ErrBadString, c, i)
		}
	}
	if readErr == nil {
		readErr = errors.New("no end within 128 bytes")
		return "", fmt.Errorf("NtBuildLab at %v: %w: %w", at, ErrBadString, readErr)
	}
	return "", fmt.Errorf("NtBuildLab: %w", readErr)
}
