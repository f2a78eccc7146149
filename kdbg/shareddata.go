package kdbg

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"
)

// SharedUserData is what is wanted of KUSER_SHARED_DATA (ntddk.h; offsets also
// Volatility's profiles).
type SharedUserData struct {
	// InterruptTime is the time since boot, SystemTime that since 1601 in UTC,
	// in 100 ns. Each is 0 if its two copies of the upper half are of different times.
	InterruptTime, SystemTime uint64
	// TickCount is in clock ticks since boot, 0 as above.
	TickCount uint64
	// NtSystemRoot is a path such as C:\Windows.
	NtSystemRoot string
	// NtBuildNumber is 0 before Windows 10. Its upper four bits are 0xf in a free
	// build, 0xc in a checked one.
	NtBuildNumber uint32
	// NtProductType is 1 for a workstation, 2 for a domain controller, 3 for a
	// server.
	NtProductType                  uint32
	NtMajorVersion, NtMinorVersion uint32
	// BootID counts boots, since Windows 10.
	BootID            uint32
	SuiteMask         uint32
	KdDebuggerEnabled uint8
	// NumberOfPhysicalPages is in pages of 4 KiB; it wraps above 16 TiB.
	NumberOfPhysicalPages uint32
	ActiveProcessorCount  uint32
}

// Build is NtBuildNumber in its parts: its upper four bits, which are a dump header's
// MajorVersion, and the number of the build, which has 16 (observed in dumps of builds
// 9600 to 26100; ReactOS).
func (s *SharedUserData) Build() (major, number uint32) {
	return s.NtBuildNumber >> 28, s.NtBuildNumber & 0xffff
}

// systemTime is KSYSTEM_TIME. Windows writes High2Time, LowPart, High1Time in
// this order, so that a reader can tell when it came in between.
type systemTime struct {
	LowPart, High1Time, High2Time uint32
}

// value is the time. Where the guest was writing it, that is of the moment at which the
// upper half grew: a small lower half is of after it, a large one of before. It is 0
// where the halves are those of no one moment.
func (t systemTime) value() uint64 {
	high := t.High1Time
	if t.High1Time != t.High2Time {
		if t.High2Time-t.High1Time != 1 {
			return 0
		}
		if t.LowPart>>31 == 0 {
			high = t.High2Time
		}
	}
	return uint64(high)<<32 | uint64(t.LowPart)
}

// sharedUserData is KUSER_SHARED_DATA up to the last field wanted.
type sharedUserData struct {
	_                     [8]byte
	InterruptTime         systemTime // 0x08
	SystemTime            systemTime // 0x14
	_                     [0x10]byte
	NtSystemRoot          [260]uint16 // 0x30
	_                     [0x28]byte
	NtBuildNumber         uint32 // 0x260
	NtProductType         uint32
	_                     [4]byte
	NtMajorVersion        uint32 // 0x26c
	NtMinorVersion        uint32
	_                     [0x50]byte
	BootID                uint32 // 0x2c4
	_                     [8]byte
	SuiteMask             uint32 // 0x2d0
	KdDebuggerEnabled     uint8
	_                     [0x13]byte
	NumberOfPhysicalPages uint32 // 0x2e8
	_                     [0x34]byte
	TickCount             systemTime // 0x320
	_                     [0x94]byte
	ActiveProcessorCount  uint32 // 0x3c0
}

const sharedUserDataSize = 0x3c4

var _ [sharedUserDataSize]byte = [unsafe.Sizeof(sharedUserData{})]byte{}

// SharedUserData reads KUSER_SHARED_DATA, whose place the layout says. The error
// wraps a *vtop.FaultError, or is [ErrImplausible] when what lies there can't be that
// page, and [ErrNotSet] when the kernel has not come to fill it.
func (m Memory) SharedUserData() (*SharedUserData, error) {
	b, err := m.read(m.Layout.SharedUserData, sharedUserDataSize)
	if err != nil {
		return nil, fmt.Errorf("KUSER_SHARED_DATA: %w", err)
	}
	var w sharedUserData
	// It can only refuse a short buffer, and this one has the right size.
	_, _ = binary.Decode(b, binary.LittleEndian, &w)
	if err := w.check(); err != nil {
		return nil, err
	}
	root := w.NtSystemRoot[:]
	root = root[:slices.Index(root, 0)]
	return &SharedUserData{
		InterruptTime: w.InterruptTime.value(), SystemTime: w.SystemTime.value(), TickCount: w.TickCount.value(),
		NtSystemRoot:  decodeUnits(root),
		NtBuildNumber: w.NtBuildNumber, NtProductType: w.NtProductType,
		NtMajorVersion: w.NtMajorVersion, NtMinorVersion: w.NtMinorVersion,
		BootID: w.BootID, SuiteMask: w.SuiteMask, KdDebuggerEnabled: w.KdDebuggerEnabled,
		NumberOfPhysicalPages: w.NumberOfPhysicalPages, ActiveProcessorCount: w.ActiveProcessorCount,
	}, nil
}

// Versions of Windows NT: 5.1 is the oldest that is read, and there is room above 10.
const minMajorVersion, maxMajorVersion = 5, 20

func (w *sharedUserData) check() error {
	if w.NtMajorVersion == 0 && w.NtSystemRoot[0] == 0 {
		return fmt.Errorf("KUSER_SHARED_DATA: %w: %w: version and system root are 0", ErrImplausible, ErrNotSet)
	}
	if v := w.NtMajorVersion; v < minMajorVersion || v > maxMajorVersion {
		return fmt.Errorf("KUSER_SHARED_DATA: %w: NtMajorVersion at +%#x: got %#x, want %#x..%#x", ErrImplausible,
			unsafe.Offsetof(w.NtMajorVersion), v, minMajorVersion, maxMajorVersion)
	}
	if r := w.NtSystemRoot; r[1] != ':' || r[2] != '\\' || !slices.Contains(r[:], 0) {
		return fmt.Errorf("KUSER_SHARED_DATA: %w: NtSystemRoot at +%#x is no path", ErrImplausible, unsafe.Offsetof(w.NtSystemRoot))
	}
	return nil
}
