package kdbg

import (
	"fmt"
	"math"
	"unsafe"

	"windmp/vtop"
)

// MaxProcessors bounds n of [Processors]: Windows runs on at most 2048 logical
// processors (Microsoft, "Compare Windows Server editions").
const MaxProcessors = 2048

// Offsets that hold for x64 where a block does not state them (Volatility's
// profiles; KDBG of builds 9600, 19041 and 26100 states the same).
const (
	defaultContainedPrcb = 0x180 // KPCR.Prcb
	defaultPrcbNumber    = 0x24  // KPRCB.Number, since Windows 7
)

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
// the block ([FieldError]), no kernel address ([PointerError]), or no entry
// readable (a *vtop.FaultError wrapped); or [ErrTooMany].
func Processors(s *vtop.Space, b *Block, n int) ([]Processor, error) {
	if n < 0 || n > MaxProcessors {
		return nil, fmt.Errorf("%w processors: got %d, want at most %d", ErrTooMany, n, MaxProcessors)
	}
	array, err := b.field(s, "KiProcessorBlock", unsafe.Offsetof(b.Data.KiProcessorBlock), b.Data.KiProcessorBlock)
	if err != nil {
		return nil, err
	}
	pointer := vtop.VA(s.PointerSize()) //nolint:gosec // 4 or 8
	if end := array + MaxProcessors*pointer; !kernelAddress(s, end) {
		return nil, &PointerError{What: "KDBG.KiProcessorBlock", Got: array}
	}
	list := make([]Processor, n)
	seen := map[vtop.VA]bool{}
	var readable int
	var firstErr error
	for i := range list {
		at := array + vtop.VA(i)*pointer
		p := &list[i]
		p.Index = i
		prcb, err := s.Pointer(at)
		if err != nil {
			p.Err = fmt.Errorf("KiProcessorBlock[%d]: %w", i, err)
			if firstErr == nil {
				firstErr = p.Err
			}
			continue
		}
		readable++
		if p.Err = checkPRCB(s, at, prcb, seen); p.Err == nil {
			p.read(s, &b.Data, prcb)
		}
	}
	if readable == 0 && firstErr != nil {
		return nil, firstErr
	}
	return list, nil
}

func checkPRCB(s *vtop.Space, at, prcb vtop.VA, seen map[vtop.VA]bool) error {
	switch {
	case prcb == 0:
		return fmt.Errorf("%w (at %v)", ErrNullPRCB, at)
	case !kernelAddress(s, prcb) || !kernelAddress(s, prcb+math.MaxUint16):
		// The offsets in the block are 16 bits wide; adding one must not wrap.
		return &PointerError{What: "KiProcessorBlock entry", At: at, Got: prcb}
	case seen[prcb]:
		return fmt.Errorf("%w (%v at %v)", ErrRepeatedPRCB, prcb, at)
	}
	seen[prcb] = true
	return nil
}

// read fills in what hangs off the KPRCB.
func (p *Processor) read(s *vtop.Space, d *Data, prcb vtop.VA) {
	p.PRCB = prcb
	containedPrcb, prcbNumber := vtop.VA(defaultContainedPrcb), vtop.VA(defaultPrcbNumber)
	if s.PointerSize() == pointerSize32 {
		containedPrcb, prcbNumber = containedPrcb32, prcbNumber32
	}
	p.PCR = prcb - offsetOr(d.OffsetPcrContainedPrcb, containedPrcb)
	if o := d.specialRegisters(s); o != 0 {
		p.SpecialRegisters = prcb + vtop.VA(o)
	}
	at := prcb + offsetOr(d.OffsetPrcbNumber, prcbNumber)
	number, err := s.Uint32(at)
	if err != nil {
		p.Err = fmt.Errorf("KPRCB.Number: %w", err)
		return
	}
	p.Number = number
	if s.PointerSize() == pointerSize32 && at-prcb == prcbNumberXP {
		p.Number &= 0xff // a UCHAR
	}
	p.Context, p.Err = contextOf(s, d, prcb)
}

// specialRegisters is the offset of ProcessorState.SpecialRegisters, 0 if it is not
// known. On x86 debuggers do not ask OffsetPrcbProcStateSpecialReg, which XP's and
// the first blocks of Server 2003 do not have: the structure follows ContextFrame.
func (d *Data) specialRegisters(s *vtop.Space) uint16 {
	if s.PointerSize() != pointerSize32 {
		return d.OffsetPrcbProcStateSpecialReg
	}
	if d.OffsetPrcbProcStateContext == 0 {
		return 0
	}
	return d.OffsetPrcbProcStateContext + contextSize32
}

// contextOf is where debuggers look for a processor's registers: through the
// pointer if the block says where it is, else in the KPRCB itself.
func contextOf(s *vtop.Space, d *Data, prcb vtop.VA) (vtop.VA, error) {
	if d.OffsetPrcbContext == 0 {
		if d.OffsetPrcbProcStateContext == 0 {
			return 0, fmt.Errorf("%w: KDBG has neither OffsetPrcbContext nor OffsetPrcbProcStateContext", ErrAbsentField)
		}
		return prcb + vtop.VA(d.OffsetPrcbProcStateContext), nil
	}
	at := prcb + vtop.VA(d.OffsetPrcbContext)
	context, err := s.Pointer(at)
	switch {
	case err != nil:
		return 0, fmt.Errorf("KPRCB.Context: %w", err)
	case context == 0:
		return 0, fmt.Errorf("%w (at %v)", ErrNullContext, at)
	case !kernelAddress(s, context):
		return 0, &PointerError{What: "KPRCB.Context", At: at, Got: context}
	}
	return context, nil
}

// offsetOr is an offset field of the block, or a default where the block does not
// have it or leaves it zero.
func offsetOr(value uint16, otherwise vtop.VA) vtop.VA {
	if value == 0 {
		return otherwise
	}
	return vtop.VA(value)
}
