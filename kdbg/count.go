package kdbg

import (
	"fmt"

	"windmp/vtop"
)

// NumberVariable is the kernel's export that counts processors, a byte. Since Windows 7
// it counts those of the first group alone.
const NumberVariable = "KeNumberProcessors"

// CountsProcessors tells whether ActiveProcessorCount is what its name says: since
// Windows 7 (6.1). Before, other things stand at its place.
func (s *SharedUserData) CountsProcessors() bool {
	return s.NtMajorVersion > 6 || s.NtMajorVersion == 6 && s.NtMinorVersion >= 1
}

// CountedProcessors is how many processors Windows has started, by its own count: that
// of KUSER_SHARED_DATA, or, before Windows 7, KeNumberProcessors, which the kernel's
// image exports. A slot of KiProcessorBlock is filled before its processor runs, so that
// those say nothing of it. The error is [ErrAbsentField] where shared is nil,
// [ErrImplausible], or of reading the image.
func (k *Kernel) CountedProcessors(shared *SharedUserData) (uint32, error) {
	if shared == nil {
		return 0, fmt.Errorf("the count of processors: %w: KUSER_SHARED_DATA is not readable", ErrAbsentField)
	}
	n, what := shared.ActiveProcessorCount, "KUSER_SHARED_DATA.ActiveProcessorCount"
	if !shared.CountsProcessors() {
		what = NumberVariable
		image, err := k.ReadImage(vtop.VA(k.Data.KernBase))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", what, err)
		}
		at, err := image.Export(k.Space, NumberVariable)
		if err != nil {
			return 0, err
		}
		b, err := k.read(at, 1)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", what, err)
		}
		n = uint32(b[0])
	}
	if n == 0 || n > MaxProcessors {
		return 0, fmt.Errorf("%s: %w: %d processors", what, ErrImplausible, n)
	}
	return n, nil
}
