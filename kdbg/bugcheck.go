package kdbg

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// BugCheck is nt!KiBugCheckData. It is zero for a guest that has not crashed.
type BugCheck struct {
	// Code is the lower half of the first word, CodeHigh its upper half, which
	// the dump header keeps as padding; 0 where the word has 32 bits.
	Code, CodeHigh uint32
	Parameters     [4]uint64
}

// BugCheck reads code and parameters at KDBG.KiBugcheckData, as KeBugCheckEx got
// them. Without a code the other words mean nothing, and Windows uses them. The error is a [BlockError], a [PointerError] or wraps a *vtop.FaultError.
func (k *Kernel) BugCheck() (BugCheck, error) {
	at, err := k.field("KiBugcheckData", unsafe.Offsetof(k.Data.KiBugcheckData), k.Data.KiBugcheckData)
	if err != nil {
		return BugCheck{}, err
	}
	size := k.Layout.PointerSize
	var bc BugCheck
	raw, err := k.read(at, size*(1+len(bc.Parameters)))
	if err != nil {
		return BugCheck{}, fmt.Errorf("KiBugcheckData: %w", err)
	}
	code := k.Layout.Pointer(raw, 0)
	if bc.Code, bc.CodeHigh = uint32(code&math.MaxUint32), uint32(code>>32); bc.Code == 0 {
		return BugCheck{}, nil
	}
	for i := range bc.Parameters {
		bc.Parameters[i] = k.Layout.Pointer(raw, (1+i)*size)
	}
	return bc, nil
}

// maxBuildLab bounds NtBuildLab: real ones have about 40 characters.
const maxBuildLab = 128

// BuildLab reads the string at KDBG.NtBuildLab, such as
// "19041.1.amd64fre.vb_release.191206-1406". It must be printable ASCII, ended
// by a zero within 128 bytes, else [ErrBadString]. Other errors: [BlockError],
// [PointerError], a *vtop.FaultError wrapped.
func (k *Kernel) BuildLab() (string, error) {
	at, err := k.field("NtBuildLab", unsafe.Offsetof(k.Data.NtBuildLab), k.Data.NtBuildLab)
	if err != nil {
		return "", err
	}
	var buf [maxBuildLab]byte
	n, readErr := k.Space.ReadVirtual(buf[:], at)
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
