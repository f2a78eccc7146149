package processor

import (
	"errors"
	"fmt"

	"windmp/convert/machine"
	"windmp/kdbg"
	"windmp/kdbg/specials"
	"windmp/winhdr/wincontext"
)

// Processor is one of the guest's processors with the structures that WinDbg
// reads and the vCPU that it is.
type Processor struct {
	kdbg.Processor
	// VCPU is the position, in the source, of the vCPU that proves to run it, -1 for
	// none; State is what that says.
	VCPU  int
	State *machine.State
	// Foreign says that the source has vCPUs that run no processor of this guest, or
	// do not prove which: one of them may be this processor's, stopped elsewhere.
	Foreign bool
	// Saved is the CONTEXT that lies in the guest's memory, nil when unreadable.
	Saved wincontext.Context
	// SavedErr says why Saved is nil.
	SavedErr error
	// Specials are the special registers in the PRCB, nil when unreadable.
	Specials specials.Registers
}

// Clone returns a copy, with which p shares nothing.
func (p Processor) Clone() Processor {
	if p.State != nil {
		p.State = p.State.Clone()
	}
	if p.Saved != nil {
		p.Saved = p.Saved.Clone()
	}
	if p.Specials != nil {
		p.Specials = p.Specials.Clone()
	}
	return p
}

// Read reads what mem, a guest's kernel memory, holds of a processor's registers.
func Read(m *machine.Machine, mem kdbg.Memory, p kdbg.Processor) Processor {
	out := Processor{Processor: p, VCPU: -1, SavedErr: p.Err}
	if p.Err != nil {
		return out
	}
	buf := make([]byte, m.Header.Registers.Size())
	if _, err := mem.Space.ReadVirtual(buf, p.Context); err != nil {
		out.SavedErr = fmt.Errorf("CONTEXT: %w", err)
	} else if out.Saved, err = m.Header.DecodeContext(buf); err != nil {
		out.SavedErr = err
	}
	if sr, err := mem.SpecialRegisters(p.SpecialRegisters); err == nil {
		out.Specials = sr
	}
	return out
}

// Usable is how many entries the dump may count: up to the last
// usable processor before the first null entry, since the engine rejects a
// dump with a null entry and shows no registers of an unusable processor.
func Usable(list []kdbg.Processor) int {
	n := 0
	for i, p := range list {
		if errors.Is(p.Err, kdbg.ErrNullPRCB) {
			break
		}
		if p.Err == nil {
			n = i + 1
		}
	}
	return n
}
