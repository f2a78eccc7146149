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

const unloadedSize = 0x28

var _ [unloadedSize]byte = [unsafe.Sizeof(unloadedDriver{})]byte{}

// UnloadedDrivers reads the ring of drivers that were unloaded, the oldest
// first; none were when the pointer at KDBG.MmUnloadedDrivers is null. The
// error is a [FieldError], a [PointerError], or wraps a *vtop.FaultError; what was
// read before it is returned with it.
func UnloadedDrivers(s *vtop.Space, b *Block) ([]UnloadedDriver, error) {
	at, err := b.field(s, "MmUnloadedDrivers", unsafe.Offsetof(b.Data.MmUnloadedDrivers), b.Data.MmUnloadedDrivers)
	if err != nil {
		return nil, err
	}
	array, err := s.Uint64(at)
	if err != nil {
		return nil, fmt.Errorf("MmUnloadedDrivers: %w", err)
	}
	if array == 0 {
		return nil, nil
	}
	if end := vtop.VA(array) + MaxUnloaded*unloadedSize; !kernelAddress(s, vtop.VA(array)) || !kernelAddress(s, end) {
		return nil, &PointerError{What: "MmUnloadedDrivers", At: at, Got: vtop.VA(array)}
	}
	var list []UnloadedDriver
	for i := range vtop.VA(MaxUnloaded) {
		var raw [unloadedSize]byte
		if _, err := s.ReadVirtual(raw[:], vtop.VA(array)+i*unloadedSize); err != nil {
			return list, fmt.Errorf("MmUnloadedDrivers[%d]: %w", i, err)
		}
		var u unloadedDriver
		// It can only refuse a short buffer, and this one has the right size.
		_, _ = binary.Decode(raw[:], binary.LittleEndian, &u)
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
