package stack

import (
	"fmt"
	"strings"

	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/kdbg/unwind"
	"windmp/vtop"
)

// Chosen says how the module of a signature was chosen.
type Chosen string

// The ways.
const (
	// ByParameter: a parameter of the bug check names the driver.
	ByParameter Chosen = "parameter"
	// ByInstruction: the instruction is in it, or its call of KeBugCheckEx.
	ByInstruction Chosen = "instruction"
	// ByFrame: it is the first on the stack that is not Windows' own, or, where all are,
	// not of its core.
	ByFrame Chosen = "frame"
	// ByScan is the same of addresses that were seen on the stack, which may be none of
	// calls.
	ByScan Chosen = "scan"
	// ByKernel: nothing but Windows' core was found.
	ByKernel Chosen = "kernel"
)

// Signature is the same for equal crashes.
type Signature struct {
	Code, Exception uint32
	Place           Place
	// Timestamp and Size are the module's, 0 where not known.
	Timestamp, Size uint32
	Chosen          Chosen
	MayBeVictim     bool
}

// Sign is the signature of a crash by the stack of what crashed; nil for a guest that
// did not, or of which nothing is known.
func (w *Walker) Sign(s *Stack) *Signature {
	if s == nil || !guest.Crashed(w.guest) {
		return nil
	}
	bc := w.guest.BugCheck()
	m := meaningOf(bc.Code)
	g := &Signature{Code: calledCode(bc.Code)}
	if m.exception {
		g.Exception = uint32(bc.Parameters[0] & 0xffffffff)
	}
	at, chosen := w.blamed(s, bc, m)
	if chosen == "" {
		return nil
	}
	g.Place, g.Chosen = w.place(at), chosen
	g.MayBeVictim = m.victim || m.victimInCore && w.rankAt(s.happened()) == core
	w.identify(g, s.view)
	return g
}

// SignatureOf is by what crashes equal to a guest's are known, for reports; nil for one
// that did not crash. shown is the processor that debuggers show first, an index in cpus.
func SignatureOf(g *guest.Guest, cpus []CPU, shown int) *report.Signature {
	w, ok := New(g)
	if !ok || !guest.Crashed(g) {
		return nil
	}
	s, _ := w.Crash(cpus, shown)
	return w.Sign(s).Report()
}

// happened is the instruction at which it happened: that which a parameter names, the
// one that was interrupted, or the call of KeBugCheckEx; 0 where the stack does not tell.
func (s *Stack) happened() vtop.VA {
	switch list, _ := s.instructions(); {
	case s.Instruction != 0:
		return s.Instruction
	case len(list) > 0 && list[0].How != How(unwind.Scan):
		return list[0].PC
	default:
		return 0
	}
}

// instructions are the frames that have a part in the crash: without the one in
// KeBugCheckEx itself, where the stack begins there, and without what an interrupt had
// stopped before. whole says that there are no others.
func (s *Stack) instructions() (list []Frame, whole bool) {
	list = s.Frames
	if s.stopped && len(s.Handlers) == 0 && len(list) > 0 {
		list = list[1:]
	}
	for i := range list {
		if i > 0 && list[i].interrupted() {
			return list[:i], false
		}
	}
	return list, true
}

// blamed is the address whose module the signature names, by the rule of
// docs/signature.md; empty where the stack has none.
func (w *Walker) blamed(s *Stack, bc *kdbg.BugCheck, m meaning) (vtop.VA, Chosen) {
	if m.driver != 0 {
		if va := vtop.VA(bc.Parameters[m.driver-1]); kdbg.ModuleAt(w.modules, va) > 0 {
			return va, ByParameter
		}
	}
	at := s.happened()
	frames, whole := s.instructions()
	if at != 0 && w.rankAt(at) != core && w.known(at) {
		return at, ByInstruction
	}
	for _, most := range []rank{other, system} {
		for i := range frames {
			pc := frames[i].PC
			if w.rankAt(pc) > most || !w.known(pc) {
				continue
			}
			if frames[i].How == How(unwind.Scan) {
				return pc, ByScan
			}
			return pc, ByFrame
		}
		for _, pc := range s.Seen {
			if whole && w.rankAt(pc) <= most {
				return pc, ByScan
			}
		}
	}
	switch {
	case at != 0:
		return at, ByKernel
	case len(frames) > 0:
		return frames[0].PC, ByKernel
	case len(s.Frames) > 0:
		return s.Frames[0].PC, ByKernel
	default:
		return 0, ""
	}
}

// identify reads what identifies the module's version.
func (w *Walker) identify(g *Signature, v *view) {
	if !g.Place.Loaded() {
		return
	}
	m := &w.modules[g.Place.module]
	g.Timestamp, g.Size = m.Timestamp, m.Size
	if im, err := peimage.Read(v.space, m.Base, w.guest.Machine().Kernel.Image); err == nil {
		g.Timestamp, g.Size = im.Timestamp, im.Size
	} else if h := w.guest.Header(); g.Timestamp == 0 && h != nil {
		g.Timestamp, _ = w.guest.Machine().Kernel.In(v.space).ModuleStamp(m, h.MinorVersion)
	}
}

// reasons are the ways in words, ownReasons those of a module that is Windows' own.
var (
	reasons = map[Chosen]string{
		ByParameter:   "a parameter of the bug check points into it",
		ByInstruction: "it happened at an instruction of it",
		ByFrame:       "it is the first on the stack that is not Windows' own",
		ByScan:        "it is the first seen on the stack that is not Windows' own; without unwind data in memory it may not belong to a call",
		ByKernel:      "nothing but Windows' core is on the stack",
	}
	ownReasons = map[Chosen]string{
		ByFrame: "nothing but Windows' own is on the stack, and it is the first that is not of the core",
		ByScan:  "nothing but Windows' own was seen on the stack, and it is the first that is not of the core; without unwind data in memory it may not belong to a call",
	}
)

// reason is the way in words.
func (g *Signature) reason() string {
	if own, ok := ownReasons[g.Chosen]; ok && g.Place.Loaded() && rankOf(g.Place.File) != other {
		return own
	}
	return reasons[g.Chosen]
}

// String is the whole signature in a word. Addresses are relative, so that equal crashes
// have equal ones wherever the modules were loaded.
func (g *Signature) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%#x", g.Code)
	if g.Exception != 0 {
		fmt.Fprintf(&b, "_%08x", g.Exception)
	}
	b.WriteString("!")
	if g.Place.Name == "" {
		b.WriteString("none") // an address in no module is another in each boot
		return b.String()
	}
	fmt.Fprintf(&b, "%s+%#x", strings.ToLower(g.Place.Name), g.Place.RVA)
	return b.String()
}

// Report is the signature for reports.
func (g *Signature) Report() *report.Signature {
	if g == nil {
		return nil
	}
	r := &report.Signature{
		Text: g.String(), Code: report.Hex(g.Code), Exception: report.Hex(g.Exception),
		Timestamp: report.Hex(g.Timestamp), Size: g.Size,
		Chosen: string(g.Chosen), Reason: g.reason(), MayBeVictim: g.MayBeVictim,
	}
	if g.Place.Name != "" {
		r.Module, r.RVA = g.Place.File, report.Hex(g.Place.RVA)
	}
	return r
}
