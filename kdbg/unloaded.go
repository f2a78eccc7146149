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

// UnloadedDrivers reads the ring of drivers that were unloaded, the oldest
// first; none were when the pointer at KDBG.MmUnloadedDrivers is null. The
// error is a [BlockError], a [PointerError], or wraps a *vtop.FaultError; what was
// read before it is returned with it.
func (k *Kernel) UnloadedDrivers() ([]UnloadedDriver, error) {
	at, err := k.field("MmUnloadedDrivers", unsafe.Offsetof(k.Data.MmUnloadedDrivers), k.Data.MmUnloadedDrivers)
	if err != nil {
		return nil, err
	}
	array, err := k.Pointer(at)
	if err != nil {
		return nil, fmt.Errorf("MmUnloadedDrivers: %w", err)
	}
	if array == 0 {
		return nil, nil
	}
	size := k.Layout.unloadedSize()
	if end := array + MaxUnloaded*vtop.VA(size); !k.IsKernel(array) || !k.IsKernel(end) { //nolint:gosec // some bytes
		return nil, &PointerError{What: "MmUnloadedDrivers", At: at, Got: array}
	}
	var list []UnloadedDriver
	for i := range MaxUnloaded {
		raw, err := k.read(array+vtop.VA(i*size), size) //nolint:gosec // within the ring
		if err != nil {
			return list, fmt.Errorf("MmUnloadedDrivers[%d]: %w", i, err)
		}
		if d := k.unloaded(raw); d.Start != 0 && d.End > d.Start {
			list = append(list, d)
		}
	}
	slices.SortStableFunc(list, func(a, b UnloadedDriver) int { return cmp.Compare(a.Time, b.Time) })
	return list, nil
}

// unloadedSize is the size of _UNLOADED_DRIVERS: the name, two pointers, the time.
func (l *Layout) unloadedSize() int { return l.stringSize() + 2*l.PointerSize + 8 }

// unloaded decodes an entry of the ring.
func (m Memory) unloaded(raw []byte) UnloadedDriver {
	l := m.Layout
	start := l.stringSize()
	d := UnloadedDriver{
		Start: vtop.VA(l.pointer(raw, start)), End: vtop.VA(l.pointer(raw, start+l.PointerSize)),
		Time: binary.LittleEndian.Uint64(raw[start+2*l.PointerSize:]),
	}
	if d.Start != 0 && d.End > d.Start {
		d.Name, _ = l.unicodeString(raw, 0).read(m) // a driver whose name is gone is still told by its range
	}
	return d
}
