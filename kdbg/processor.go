package kdbg

import (
	"fmt"
	"math"
	"unsafe"

	"windmp/kdbg/specials"
	"windmp/vtop"
)

// MaxProcessors bounds n of [Kernel.Processors]: Windows runs on at most 2048 logical
// processors (Microsoft, "Compare Windows Server editions").
const MaxProcessors = 2048

// Processor is one of Windows' processors. Addresses that are not known are 0.
type Processor struct {
	// Index is the place in KiProcessorBlock.
	Index int
	// PRCB and PCR are the addresses of its KPRCB and of the KPCR around it: the
	// GS base in kernel mode.
	PRCB, PCR vtop.VA
	// Number is KPRCB.Number; it should equal Index.
	Number uint32
	// Context is the address of the CONTEXT that debuggers show for the
	// processor: what KPRCB.Context points to, in blocks without
	// OffsetPrcbContext (before Windows 7) KPRCB.ProcessorState.ContextFrame.
	Context vtop.VA
	// SpecialRegisters is the address of KPRCB.ProcessorState.SpecialRegisters.
	SpecialRegisters vtop.VA
	// Err says what is missing: ErrNullPRCB, ErrRepeatedPRCB, ErrNullContext, a
	// [PointerError], or a *vtop.FaultError wrapped. Fields that were read before
	// it are set.
	Err error
}

// Processors reads the first n entries of KiProcessorBlock. It returns n
// processors, each with its own Err. The error is about the array as a whole: not in
// the block ([BlockError]), no kernel address ([PointerError]), or no entry
// readable (a *vtop.FaultError wrapped); or [ErrTooMany].
func (k *Kernel) Processors(n int) ([]Processor, error) {
	if n < 0 || n > MaxProcessors {
		return nil, fmt.Errorf("%w processors: got %d, want at most %d", ErrTooMany, n, MaxProcessors)
	}
	array, err := k.field("KiProcessorBlock", unsafe.Offsetof(k.Data.KiProcessorBlock), k.Data.KiProcessorBlock)
	if err != nil {
		return nil, err
	}
	if !k.IsKernel(array + k.Layout.pointers(MaxProcessors)) {
		return nil, &PointerError{What: "KDBG.KiProcessorBlock", Got: array}
	}
	list := make([]Processor, n)
	seen := map[vtop.VA]bool{}
	var readable int
	var firstErr error
	for i := range list {
		at := array + k.Layout.pointers(i)
		p := &list[i]
		p.Index = i
		prcb, err := k.Pointer(at)
		if err != nil {
			p.Err = fmt.Errorf("KiProcessorBlock[%d]: %w", i, err)
			if firstErr == nil {
				firstErr = p.Err
			}
			continue
		}
		readable++
		if p.Err = k.checkPRCB(at, prcb, seen); p.Err == nil {
			k.readProcessor(p, prcb)
		}
	}
	if readable == 0 && firstErr != nil {
		return nil, firstErr
	}
	return list, nil
}

func (m Memory) checkPRCB(at, prcb vtop.VA, seen map[vtop.VA]bool) error {
	switch {
	case prcb == 0:
		return fmt.Errorf("%w (at %v)", ErrNullPRCB, at)
	case !m.IsKernel(prcb) || !m.IsKernel(prcb+math.MaxUint16):
		// The offsets in the block are 16 bits wide; adding one must not wrap.
		return &PointerError{What: "KiProcessorBlock entry", At: at, Got: prcb}
	case seen[prcb]:
		return fmt.Errorf("%w (%v at %v)", ErrRepeatedPRCB, prcb, at)
	}
	seen[prcb] = true
	return nil
}

// ProcessorAt reads a KPRCB that is not in KiProcessorBlock, as that of a triage dump.
// Index is not known, and Context, which such a dump keeps elsewhere, is not looked
// for. Err wraps a *vtop.FaultError.
func (k *Kernel) ProcessorAt(prcb vtop.VA) Processor {
	var p Processor
	p.Err = k.readState(&p, prcb)
	return p
}

// readProcessor fills in what hangs off the KPRCB.
func (k *Kernel) readProcessor(p *Processor, prcb vtop.VA) {
	if p.Err = k.readState(p, prcb); p.Err == nil {
		p.Context, p.Err = k.contextOf(prcb)
	}
}

// readState fills in what is in the KPRCB itself.
func (k *Kernel) readState(p *Processor, prcb vtop.VA) error {
	d, o := &k.Data, &k.Layout.Processor
	p.PRCB = prcb
	p.PCR = prcb - offsetOr(d.OffsetPcrContainedPrcb, o.Prcb)
	if o.SpecialRegisters != nil {
		if at := o.SpecialRegisters(d); at != 0 {
			p.SpecialRegisters = prcb + vtop.VA(at)
		}
	}
	at := offsetOr(d.OffsetPrcbNumber, o.Number)
	number, err := k.Space.Uint32(prcb + at)
	if err != nil {
		return fmt.Errorf("KPRCB.Number: %w", err)
	}
	p.Number = number
	if at == o.ByteNumber {
		p.Number &= math.MaxUint8
	}
	return nil
}

// contextOf is where debuggers look for a processor's registers: through the
// pointer if the block says where it is, else in the KPRCB itself.
func (k *Kernel) contextOf(prcb vtop.VA) (vtop.VA, error) {
	d := &k.Data
	if d.OffsetPrcbContext == 0 {
		if d.OffsetPrcbProcStateContext == 0 {
			return 0, fmt.Errorf("%w: KDBG has neither OffsetPrcbContext nor OffsetPrcbProcStateContext", ErrAbsentField)
		}
		return prcb + vtop.VA(d.OffsetPrcbProcStateContext), nil
	}
	at := prcb + vtop.VA(d.OffsetPrcbContext)
	context, err := k.Pointer(at)
	switch {
	case err != nil:
		return 0, fmt.Errorf("KPRCB.Context: %w", err)
	case context == 0:
		return 0, fmt.Errorf("%w (at %v)", ErrNullContext, at)
	case !k.IsKernel(context):
		return 0, &PointerError{What: "KPRCB.Context", At: at, Got: context}
	}
	return context, nil
}

// numberVariable is the kernel's export that counts processors, a byte. Since Windows 7
// it counts those of the first group alone.
const numberVariable = "KeNumberProcessors"

// countsProcessors tells whether ActiveProcessorCount is what its name says: since
// Windows 7 (6.1). Before, other things stand at its place.
func (s *SharedUserData) countsProcessors() bool {
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
	if !shared.countsProcessors() {
		what = numberVariable
		image, err := k.ReadImage(vtop.VA(k.Data.KernBase))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", what, err)
		}
		at, err := image.Export(k.Space, numberVariable)
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

// SpecialRegisters reads the structure at va. The error wraps a *vtop.FaultError.
func (m Memory) SpecialRegisters(va vtop.VA) (specials.Registers, error) {
	b, err := m.read(va, m.Layout.Specials.Size)
	if err != nil {
		return nil, fmt.Errorf("special registers at %v: %w", va, err)
	}
	return m.Layout.Specials.Decode(b), nil
}
