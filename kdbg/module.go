package kdbg

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"
	"unsafe"

	"windmp/vtop"
)

const (
	// MaxModules bounds the loader list. WinDbg's engine stops at the same
	// number.
	MaxModules = 10000
	// MaxNameBytes bounds a module's name. Windows' paths of drivers are far
	// shorter.
	MaxNameBytes = 0x1000
)

// Module is a loaded kernel image.
type Module struct {
	// Entry is the address of the loader's list entry.
	Entry vtop.VA
	// Base and EntryPoint are addresses, Size is SizeOfImage in bytes.
	Base, EntryPoint vtop.VA
	Size             uint32
	// Name is BaseDllName, FullName is FullDllName, as the guest has them:
	// control characters are kept, invalid UTF-16 becomes U+FFFD.
	Name, FullName string
	// NameErr says why a name is empty: [ErrBadString] or a *vtop.FaultError,
	// wrapped.
	NameErr error
}

// unicodeString is UNICODE_STRING of x64.
type unicodeString struct {
	Length, MaximumLength uint16 // bytes
	_                     [4]byte
	Buffer                uint64 // VA
}

// loaderEntry is the part of KLDR_DATA_TABLE_ENTRY that it shares with
// LDR_DATA_TABLE_ENTRY, alike in all builds of x64 (Volatility's profiles,
// kdmp-parser).
type loaderEntry struct {
	InLoadOrderLinks ListEntry64
	_                [0x20]byte // in the kernel, exception table and more
	DllBase          uint64     // 0x30
	EntryPoint       uint64
	SizeOfImage      uint32
	_                [4]byte
	FullDllName      unicodeString // 0x48
	BaseDllName      unicodeString // 0x58
}

const loaderEntrySize = 0x68

// Modules walks the loader list from its head, PsLoadedModuleList. What was
// read before an error is returned with it: a *vtop.FaultError wrapped, a
// [PointerError], [ErrCycle], or [ErrTooMany]. A name that can't be read only costs
// the name.
func Modules(s *vtop.Space, head vtop.VA) ([]Module, error) {
	next, err := s.Pointer(head)
	if err != nil {
		return nil, fmt.Errorf("PsLoadedModuleList: %w", err)
	}
	var list []Module
	seen := map[vtop.VA]bool{}
	from := head
	for next != head {
		at := next
		switch {
		case len(list) == MaxModules:
			return list, fmt.Errorf("%w loaded modules: more than %d", ErrTooMany, MaxModules)
		case !kernelAddress(s, at):
			return list, &PointerError{What: "Flink of the loader list", At: from, Got: at}
		case seen[at]:
			return list, fmt.Errorf("loader list at %v: %w: the next entry %v was seen before", from, ErrCycle, at)
		}
		seen[at] = true
		entry, err := readLoaderEntry(s, at)
		if err != nil {
			return list, fmt.Errorf("module %d: %w", len(list), err)
		}
		list = append(list, entry.module(s, at))
		from, next = at, vtop.VA(entry.InLoadOrderLinks.Flink)
	}
	return list, nil
}

// firstModuleBase is DllBase of the list's first entry: the kernel's. A guest may
// have crashed because this memory was overwritten, so what can't be a base
// is an error, not an answer.
func firstModuleBase(s *vtop.Space, head vtop.VA) (vtop.VA, error) {
	next, err := s.Pointer(head)
	if err != nil {
		return 0, err
	}
	if next == head || !kernelAddress(s, next) {
		return 0, &PointerError{What: "PsLoadedModuleList", At: head, Got: next}
	}
	entry, err := readLoaderEntry(s, next)
	if err != nil {
		return 0, err
	}
	base := vtop.VA(entry.DllBase)
	if base%pageSize != 0 || !kernelAddress(s, base) {
		return 0, &PointerError{What: "DllBase of the first module", At: next + vtop.VA(unsafe.Offsetof(entry.DllBase)), Got: base}
	}
	return base, nil
}

func readLoaderEntry(s *vtop.Space, at vtop.VA) (*loaderEntry, error) {
	if s.PointerSize() == pointerSize32 {
		return readLoaderEntry32(s, at)
	}
	var b [loaderEntrySize]byte
	if _, err := s.ReadVirtual(b[:], at); err != nil {
		return nil, fmt.Errorf("loader entry at %v: %w", at, err)
	}
	var e loaderEntry
	// It can only refuse a short buffer, and this one has the right size.
	_, _ = binary.Decode(b[:], binary.LittleEndian, &e)
	return &e, nil
}

func (e *loaderEntry) module(s *vtop.Space, at vtop.VA) Module {
	m := Module{Entry: at, Base: vtop.VA(e.DllBase), EntryPoint: vtop.VA(e.EntryPoint), Size: e.SizeOfImage}
	if m.Name, m.NameErr = e.BaseDllName.read(s); m.NameErr != nil {
		m.NameErr = fmt.Errorf("BaseDllName: %w", m.NameErr)
	}
	var err error
	if m.FullName, err = e.FullDllName.read(s); err != nil && m.NameErr == nil {
		m.NameErr = fmt.Errorf("FullDllName: %w", err)
	}
	return m
}

// read returns the string's text.
func (u unicodeString) read(s *vtop.Space) (string, error) {
	switch {
	case u.Length%2 != 0 || u.Length > u.MaximumLength || u.Length > MaxNameBytes:
		return "", fmt.Errorf("%w: Length %#x, MaximumLength %#x: want an even length up to the maximum and %#x", ErrBadString, u.Length, u.MaximumLength, MaxNameBytes)
	case u.Length == 0:
		return "", nil
	}
	b := make([]byte, u.Length)
	if _, err := s.ReadVirtual(b, vtop.VA(u.Buffer)); err != nil {
		return "", err
	}
	return decodeUTF16(b), nil
}

func decodeUTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return decodeUnits(units)
}

// decodeUnits replaces what is no valid UTF-16 by U+FFFD.
func decodeUnits(units []uint16) string { return string(utf16.Decode(units)) }
