package kdbg

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"windmp/vtop"
)

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

// unloadedDriver is _UNLOADED_DRIVERS of x64.
type unloadedDriver struct {
	Name       unicodeString
	Start, End uint64
	Time       uint64
}

// unloadedDriver32 is that of x86.
type unloadedDriver32 struct {
	Name       unicodeString32
	Start, End uint32
	Time       uint64
}

const unloadedSize, unloadedSize32 = 0x28, 0x18

var (
	_ [unloadedSize]byte   = [unsafe.Sizeof(unloadedDriver{})]byte{}
	_ [unloadedSize32]byte = [unsafe.Sizeof(unloadedDriver32{})]byte{}
)

// UnloadedDrivers reads the ring of drivers that were unloaded, the oldest
// first; none were when the pointer at KDBG.MmUnloadedDrivers is null. The
// error is a [FieldError], a [PointerError], or wraps a *vtop.FaultError; what was
// read before it is returned with it.
func UnloadedDrivers(s *vtop.Space, b *Block) ([]UnloadedDriver, error) {
	at, err := b.field(s, "MmUnloadedDrivers", unsafe.Offsetof(b.Data.MmUnloadedDrivers), b.Data.MmUnloadedDrivers)
	if err != nil {
		return nil, err
	}
	array, err := s.Pointer(at)
	if err != nil {
		return nil, fmt.Errorf("MmUnloadedDrivers: %w", err)
	}
	if array == 0 {
		return nil, nil
	}
	if end := array + MaxUnloaded*unloadedSize; !kernelAddress(s, array) || !kernelAddress(s, end) {
		return nil, &PointerError{What: "MmUnloadedDrivers", At: at, Got: array}
	}
	var list []UnloadedDriver
	for i := range vtop.VA(MaxUnloaded) {
		u, err := readUnloaded(s, array, i)
		if err != nil {
			return list, fmt.Errorf("MmUnloadedDrivers[%d]: %w", i, err)
		}
		if u.Start == 0 || u.End <= u.Start {
			continue
		}
		d := UnloadedDriver{Start: vtop.VA(u.Start), End: vtop.VA(u.End), Time: u.Time}
		d.Name, _ = u.Name.read(s) // a driver whose name is gone is still told by its range
		list = append(list, d)
	}
	slices.SortStableFunc(list, func(a, b UnloadedDriver) int { return cmp.Compare(a.Time, b.Time) })
	return list, nil
}

// readUnloaded reads the i-th entry of the array.
func readUnloaded(s *vtop.Space, array, i vtop.VA) (*unloadedDriver, error) {
	var raw [unloadedSize]byte
	// Decoding can only refuse a short buffer, and these have the right sizes.
	if s.PointerSize() != pointerSize32 {
		_, err := s.ReadVirtual(raw[:], array+i*unloadedSize)
		u := new(unloadedDriver)
		_, _ = binary.Decode(raw[:], binary.LittleEndian, u)
		return u, err
	}
	_, err := s.ReadVirtual(raw[:unloadedSize32], array+i*unloadedSize32)
	var n unloadedDriver32
	_, _ = binary.Decode(raw[:unloadedSize32], binary.LittleEndian, &n)
	return &unloadedDriver{Name: n.Name.widened(), Start: uint64(n.Start), End: uint64(n.End), Time: n.Time}, err
}
