package kdbg

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
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
	// Functions is where the loader says that the image's exception directory lies,
	// FunctionsSize its size in bytes; 0 where there is none.
	Functions     vtop.VA
	FunctionsSize uint32
	// Name is BaseDllName, FullName is FullDllName, as the guest has them:
	// control characters are kept, invalid UTF-16 becomes U+FFFD.
	Name, FullName string
	// Timestamp is TimeDateStamp as a triage dump's list of drivers states it, 0 where
	// that is not known: the image's own header says it otherwise.
	Timestamp uint32
	// NameErr says why a name is empty: [ErrBadString] or a *vtop.FaultError,
	// wrapped.
	NameErr error
}

// ModuleAt is the index in a list of the module in whose image va lies, -1 if it is in
// none. Of images that overlap it is the first.
func ModuleAt(list []Module, va vtop.VA) int {
	for i := range list {
		if m := &list[i]; va >= m.Base && uint64(va-m.Base) < uint64(m.Size) {
			return i
		}
	}
	return -1
}

// Modules walks the loader list from PsLoadedModuleList. Errors are those of
// [Memory.ModulesAt].
func (k *Kernel) Modules() ([]Module, error) {
	return k.ModulesAt(vtop.VA(k.Data.PsLoadedModuleList))
}

// ModulesAt walks the loader list from its head. What was read before an error is
// returned with it: a *vtop.FaultError wrapped, a [PointerError], [ErrCycle], or
// [ErrTooMany]. A name that can't be read only costs the name.
func (m Memory) ModulesAt(head vtop.VA) ([]Module, error) {
	next, err := m.Pointer(head)
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
		case !m.IsKernel(at):
			return list, &PointerError{What: "Flink of the loader list", At: from, Got: at}
		case seen[at]:
			return list, fmt.Errorf("loader list at %v: %w: the next entry %v was seen before", from, ErrCycle, at)
		}
		seen[at] = true
		entry, err := m.loaderEntry(at)
		if err != nil {
			return list, fmt.Errorf("module %d: %w", len(list), err)
		}
		list = append(list, entry.module(m, at))
		from, next = at, entry.flink
	}
	return list, nil
}

// firstModule is the list's first entry: the kernel's. A guest may
// have crashed because this memory was overwritten, so what can't be a base
// is an error, not an answer.
func (m Memory) firstModule(head vtop.VA) (*loaderEntry, error) {
	next, err := m.Pointer(head)
	if err != nil {
		return nil, err
	}
	if next == head || !m.IsKernel(next) {
		return nil, &PointerError{What: "PsLoadedModuleList", At: head, Got: next}
	}
	entry, err := m.loaderEntry(next)
	if err != nil {
		return nil, err
	}
	if base := entry.base; base%pageSize != 0 || !m.IsKernel(base) {
		return nil, &PointerError{What: "DllBase of the first module", At: next + vtop.VA(m.Layout.Loader.DllBase), Got: base} //nolint:gosec // an offset
	}
	return entry, nil
}

// loaderEntry is the part of KLDR_DATA_TABLE_ENTRY that it shares with
// LDR_DATA_TABLE_ENTRY.
type loaderEntry struct {
	flink, base, entryPoint vtop.VA
	size, functionsSize     uint32
	functions               vtop.VA
	fullName, baseName      unicodeString
}

func (m Memory) loaderEntry(at vtop.VA) (*loaderEntry, error) {
	l, o := m.Layout, &m.Layout.Loader
	b, err := m.read(at, o.BaseDllName+l.stringSize())
	if err != nil {
		return nil, fmt.Errorf("loader entry at %v: %w", at, err)
	}
	e := &loaderEntry{
		flink: vtop.VA(l.Pointer(b, 0)), base: vtop.VA(l.Pointer(b, o.DllBase)), entryPoint: vtop.VA(l.Pointer(b, o.EntryPoint)),
		size:     binary.LittleEndian.Uint32(b[o.SizeOfImage:]),
		fullName: l.unicodeString(b, o.FullDllName), baseName: l.unicodeString(b, o.BaseDllName),
	}
	if o.ExceptionTable != 0 {
		e.functions, e.functionsSize = vtop.VA(l.Pointer(b, o.ExceptionTable)), binary.LittleEndian.Uint32(b[o.ExceptionTableSize:])
	}
	return e, nil
}

func (e *loaderEntry) module(m Memory, at vtop.VA) Module {
	out := Module{Entry: at, Base: e.base, EntryPoint: e.entryPoint, Size: e.size, Functions: e.functions, FunctionsSize: e.functionsSize}
	if out.Name, out.NameErr = e.baseName.read(m); out.NameErr != nil {
		out.NameErr = fmt.Errorf("BaseDllName: %w", out.NameErr)
	}
	var err error
	if out.FullName, err = e.fullName.read(m); err != nil && out.NameErr == nil {
		out.NameErr = fmt.Errorf("FullDllName: %w", err)
	}
	return out
}

// unicodeString is UNICODE_STRING: the two lengths, and the pointer aligned behind
// them.
type unicodeString struct {
	length, maximumLength uint16 // bytes
	buffer                vtop.VA
}

// stringSize is the size of UNICODE_STRING in bytes.
func (l *Layout) stringSize() int { return 2 * l.PointerSize }

func (l *Layout) unicodeString(b []byte, off int) unicodeString {
	le := binary.LittleEndian
	return unicodeString{
		length: le.Uint16(b[off:]), maximumLength: le.Uint16(b[off+2:]),
		buffer: vtop.VA(l.Pointer(b, off+l.PointerSize)),
	}
}

// read returns the string's text.
func (u unicodeString) read(m Memory) (string, error) {
	switch {
	case u.length%2 != 0 || u.length > u.maximumLength || u.length > MaxNameBytes:
		return "", fmt.Errorf("%w: Length %#x, MaximumLength %#x: want an even length up to the maximum and %#x", ErrBadString, u.length, u.maximumLength, MaxNameBytes)
	case u.length == 0:
		return "", nil
	}
	b, err := m.read(u.buffer, int(u.length))
	if err != nil {
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

// MaxUnloaded is the number of drivers that Windows remembers
// (MI_UNLOADED_DRIVERS, Volatility's unloadedmodules).
const MaxUnloaded = 50

// UnloadedDriver is a driver that is no longer loaded. A crash in its address
// range points at it.
type UnloadedDriver struct {
	Name       string
	Start, End vtop.VA
	// Time is when it was unloaded, in 100 ns since 1601.
	Time uint64
}

// UnloadedDrivers reads the ring of drivers that were unloaded, the oldest
// first; none were when the pointer at KDBG.MmUnloadedDrivers is null. The
// error is a [BlockError], a [PointerError], or wraps a *vtop.FaultError; what was
// read before it is returned with it.
func (k *Kernel) UnloadedDrivers() ([]UnloadedDriver, error) {
	array, err := k.unloadedArray()
	if array == 0 || err != nil {
		return nil, err
	}
	list, err := k.unloadedSlots(array, func(i int) int { return i })
	if err != nil {
		return list, err
	}
	slices.SortStableFunc(list, func(a, b UnloadedDriver) int { return cmp.Compare(a.Time, b.Time) })
	return list, nil
}

// unloadedArray is where the ring lies, 0 where there is none.
func (k *Kernel) unloadedArray() (vtop.VA, error) {
	at, err := k.field("MmUnloadedDrivers", unsafe.Offsetof(k.Data.MmUnloadedDrivers), k.Data.MmUnloadedDrivers)
	if err != nil {
		return 0, err
	}
	array, err := k.Pointer(at)
	if err != nil {
		return 0, fmt.Errorf("MmUnloadedDrivers: %w", err)
	}
	if end := array + k.Layout.bytes(MaxUnloaded*k.Layout.unloadedSize()); array != 0 && (!k.IsKernel(array) || !k.IsKernel(end)) {
		return 0, &PointerError{What: "MmUnloadedDrivers", At: at, Got: array}
	}
	return array, nil
}

// UnloadedRing reads the ring of drivers that were unloaded in the order in which
// debuggers list it: backwards from the slot before the one that is next, which
// KDBG.MmLastUnloadedDriver says. Where that is not readable the last slot is the
// first. Errors and what comes with them are those of [Kernel.UnloadedDrivers].
func (k *Kernel) UnloadedRing() ([]UnloadedDriver, error) {
	array, err := k.unloadedArray()
	if array == 0 || err != nil {
		return nil, err
	}
	next := 0
	if at, err := k.field("MmLastUnloadedDriver", unsafe.Offsetof(k.Data.MmLastUnloadedDriver), k.Data.MmLastUnloadedDriver); err == nil {
		if v, err := k.Space.Uint32(at); err == nil {
			next = int(v % MaxUnloaded)
		}
	}
	return k.unloadedSlots(array, func(i int) int { return (next + MaxUnloaded - 1 - i) % MaxUnloaded })
}

// unloadedSlots reads the ring at array, in the order in which slot gives its slots.
func (k *Kernel) unloadedSlots(array vtop.VA, slot func(i int) int) ([]UnloadedDriver, error) {
	size := k.Layout.unloadedSize()
	var list []UnloadedDriver
	for i := range MaxUnloaded {
		at := slot(i)
		raw, err := k.read(array+k.Layout.bytes(at*size), size)
		if err != nil {
			return list, fmt.Errorf("MmUnloadedDrivers[%d]: %w", at, err)
		}
		if d := k.unloaded(raw); d.Start != 0 && d.End > d.Start {
			list = append(list, d)
		}
	}
	return list, nil
}

// unloadedSize is the size of _UNLOADED_DRIVERS: the name, two pointers, the time.
func (l *Layout) unloadedSize() int { return l.stringSize() + 2*l.PointerSize + 8 }

// unloaded decodes an entry of the ring.
func (m Memory) unloaded(raw []byte) UnloadedDriver {
	l := m.Layout
	start := l.stringSize()
	d := UnloadedDriver{
		Start: vtop.VA(l.Pointer(raw, start)), End: vtop.VA(l.Pointer(raw, start+l.PointerSize)),
		Time: binary.LittleEndian.Uint64(raw[start+2*l.PointerSize:]),
	}
	if d.Start != 0 && d.End > d.Start {
		d.Name, _ = l.unicodeString(raw, 0).read(m) // a driver whose name is gone is still told by its range
	}
	return d
}
