package inspect

import (
	"cmp"
	"context"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stack"
	"windmp/convert/stage"
	"windmp/kdbg"
	"windmp/vtop"
)

// StackOptions choose the stacks. The zero value is that of what crashed, else of the
// processor that debuggers show first.
type StackOptions struct {
	// CPU is a processor, when HasCPU is set; All are all of them, the crashed one from
	// where the crash was on.
	CPU    int
	HasCPU bool
	All    bool
	// Context and Trap are addresses of a CONTEXT or a KTRAP_FRAME from which to walk,
	// 0 for none.
	Context, Trap uint64
	// Source and Guest are as those of [InfoOptions].
	Source source.Options
	Guest  guest.Options
}

// Validate returns a [*stage.UsageError] if the options make no sense for any file.
func (o *StackOptions) Validate() error {
	chosen := 0
	for _, is := range []bool{o.HasCPU, o.All, o.Context != 0, o.Trap != 0} {
		if is {
			chosen++
		}
	}
	switch {
	case chosen > 1:
		return &stage.UsageError{Reason: "a processor, all of them, a context and a trap frame are four different stacks"}
	case o.HasCPU && o.CPU < 0:
		return &stage.UsageError{Reason: fmt.Sprintf("%d is no processor", o.CPU)}
	}
	return cmp.Or(o.Source.Validate(), o.Guest.Validate())
}

// StackReport says what code ran, and what called it.
type StackReport struct {
	Input report.Input           `json:"input"`
	Error *report.Error          `json:"error,omitempty"`
	Bug   *report.BugCheckDetail `json:"bug_check,omitempty"`
	// Signature is the same for equal crashes; absent if the guest did not crash.
	Signature *report.Signature `json:"signature,omitempty"`
	Stacks    []report.Stack    `json:"stacks"`
	// Modules are those of the frames, with the keys of their symbols.
	Modules  []SymbolModule    `json:"modules"`
	Findings []finding.Finding `json:"findings"`
	// Machine is the guest's, nil where the file could not be opened.
	Machine *machine.Machine `json:"-"`
}

// newStackReport is a report in which nothing is said yet.
func newStackReport(in report.Input) *StackReport {
	return &StackReport{Input: in, Stacks: []report.Stack{}, Modules: []SymbolModule{}, Findings: []finding.Finding{}}
}

// Stack walks stacks of a file. The report is never nil, and the errors are those of
// [Info].
func Stack(ctx context.Context, in source.Input, opt StackOptions) (*StackReport, error) {
	r := newStackReport(report.Input{Path: in.Path()})
	err := opt.Validate()
	if err == nil {
		var walked error
		err = look(ctx, in, counted(opt.Source, &r.Input), opt.Guest, func(f *found) {
			r.Input, r.Machine = f.input, f.guest.Machine()
			r.Findings = append(r.Findings, f.findings...)
			if f.err == nil {
				walked = r.describe(f.guest, opt)
			}
			r.Findings, r.Signature = certain(f.guest, r.Findings, r.Signature)
		})
		err = cmp.Or(err, walked)
	}
	if cutShort(err) {
		r = newStackReport(opened(r.Input))
	}
	r.Error = report.OfError(err)
	return r, err
}

func (r *StackReport) describe(g *guest.Guest, opt StackOptions) error {
	r.Bug = identity.BugCheck(g)
	var found finding.List
	defer func() { r.Findings = append(r.Findings, found.All...) }()
	c := newCrash(g)
	if c == nil {
		found.Add(finding.NoStack.At("", "no stack can be walked: the kernel's memory is not known"))
		return nil
	}
	r.Signature = c.signature
	list, err := c.chosen(opt)
	for _, s := range list {
		r.Stacks = append(r.Stacks, *c.walker.Report(s))
	}
	r.Modules = append(r.Modules, c.modulesOf(list)...)
	c.complain(&found, list)
	return err
}

// crashed is what a guest's processors did, and what crashed.
type crashed struct {
	guest     *guest.Guest
	walker    *stack.Walker
	cpus      []stack.CPU
	shown     int
	main      *stack.Stack // nil where nothing is known of the processor
	signature *report.Signature
}

// newCrash walks the stack of what crashed, or of the processor that is shown first; nil
// for a guest whose memory is not known.
func newCrash(g *guest.Guest) *crashed {
	w, ok := stack.New(g)
	if !ok {
		return nil
	}
	c := &crashed{guest: g, walker: w}
	c.cpus, c.shown = plan.Stacks(g)
	c.main, _ = w.Crash(c.cpus, c.shown)
	c.signature = w.Sign(c.main).Report()
	return c
}

// chosen are the stacks that were asked for.
func (c *crashed) chosen(opt StackOptions) ([]*stack.Stack, error) {
	var s *stack.Stack
	var err error
	switch {
	case opt.Context != 0:
		s, err = c.walker.At(vtop.VA(opt.Context))
	case opt.Trap != 0:
		s, err = c.walker.AtTrap(vtop.VA(opt.Trap))
	case opt.HasCPU:
		return c.ofCPU(opt.CPU)
	case opt.All:
		return c.all(), nil
	default:
		s = c.main
	}
	switch {
	case err != nil:
		return nil, &stage.UsageError{Reason: err.Error()}
	case s == nil:
		return nil, nil
	default:
		return []*stack.Stack{s}, nil
	}
}

// ofCPU is the stack of a processor.
func (c *crashed) ofCPU(index int) ([]*stack.Stack, error) {
	for i := range c.cpus {
		if c.cpus[i].Index != index {
			continue
		}
		if s, ok := c.of(i); ok {
			return []*stack.Stack{s}, nil
		}
		return nil, &stage.UsageError{Reason: fmt.Sprintf("nothing is known of the registers of processor %d", index)}
	}
	return nil, &stage.UsageError{Reason: fmt.Sprintf("there is no processor %d, there are %d", index, len(c.cpus))}
}

// of is the stack of a processor in the list: of the crashed one from where the crash
// was on.
func (c *crashed) of(i int) (*stack.Stack, bool) {
	if c.main != nil && i == c.shown && c.main.Processor == c.cpus[i].Index {
		return c.main, true
	}
	return c.walker.CPU(c.cpus[i])
}

// all are the stacks of all processors, and that of what crashed first.
func (c *crashed) all() []*stack.Stack {
	var list []*stack.Stack
	if c.main != nil {
		list = append(list, c.main)
	}
	for i := range c.cpus {
		if s, ok := c.of(i); ok && s != c.main {
			list = append(list, s)
		}
	}
	return list
}

// modulesOf are the modules of frames, each once.
func (c *crashed) modulesOf(list []*stack.Stack) []SymbolModule {
	modules := c.guest.Modules()
	seen := map[int]bool{}
	var out []SymbolModule
	for _, s := range list {
		for _, f := range s.All() {
			i := kdbg.ModuleAt(modules, f.PC)
			if i >= 0 && !seen[i] {
				seen[i] = true
				out = append(out, symbolModule(c.guest, &modules[i], ""))
			}
		}
	}
	return out
}

// complain says what stopped the walks.
func (c *crashed) complain(found *finding.List, list []*stack.Stack) {
	if len(list) == 0 {
		found.Add(finding.NoStack.At("", "no stack can be walked: nothing is known of the processor's registers"))
	}
	scanned := 0
	for _, s := range list {
		if s.Scanned() {
			scanned++
		}
	}
	if scanned > 0 {
		found.Add(finding.StackScanned.At("", "of %d stacks, %d have frames that were found by a scan: they may be none", len(list), scanned))
	}
}

// signatureOf is by what crashes equal to that of a dump are known; nil for one of which
// only the header is read, and for one of a guest that did not crash.
func signatureOf(g *guest.Guest) *report.Signature {
	g = guest.WithProcessors(g)
	cpus, shown := plan.Stacks(g)
	return stack.SignatureOf(g, cpus, shown)
}
