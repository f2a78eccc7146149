package guest

import (
	"context"

	"windmp/convert/finding"
	"windmp/convert/processor"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/problem"
)

// Opened is the guest of a Windows dump as a debugger takes it: through the page
// tables, and by the block, that the dump's header names. Nothing is verified, as a
// debugger verifies nothing; of what can't be read it has the error.
type Opened struct {
	*Guest
	// BlockErr is why there is no Kernel; Encoded is set when the block is there and
	// encoded, which debuggers do not decode.
	BlockErr error
	Encoded  bool
	// SharedErr is why there is no SharedUserData.
	SharedErr error
	// List is the head of the loader's list, of which Modules has what was read, and
	// ListErr why it breaks off.
	List    vtop.VA
	ListErr error
}

// Open takes the guest of a dump for what its header says. The error is a
// [*finding.RefusedError], where the header is no dump's, or the cause of ctx, which is
// asked before each step; the longest, the loader's list, has [kdbg.MaxModules] entries.
func Open(ctx context.Context, im *physmem.Image, opt Options) (*Opened, error) {
	g, err := FindHeader(im, opt)
	o := &Opened{Guest: g}
	if err != nil {
		return o, err
	}
	for _, step := range []func(){o.takeMemory, o.takeBlock, o.takeModules} {
		if ctx.Err() != nil {
			return o, context.Cause(ctx)
		}
		step()
	}
	return o, nil
}

// takeMemory takes the page tables, and what lies at an address that needs no block.
func (o *Opened) takeMemory() {
	f := o.f
	f.Memory = f.headerMemory()
	f.SharedUserData, o.SharedErr = f.Memory.SharedUserData()
}

// takeBlock takes KDBG, and the list that it names, or, without it, the header.
func (o *Opened) takeBlock() {
	f := o.f
	o.List = vtop.VA(f.Header.PsLoadedModuleList)
	at := vtop.VA(f.Header.KdDebuggerDataBlock)
	k, err := f.Memory.ReadUnverified(at)
	if err == nil {
		f.Kernel, f.Memory, o.List = k, k.Memory, vtop.VA(k.Data.PsLoadedModuleList)
	} else {
		_, decoded := f.Memory.Decode(at, kdbg.Expect{})
		o.BlockErr, o.Encoded = err, decoded == nil
	}
}

// takeModules walks the loader's list.
func (o *Opened) takeModules() { o.f.Modules, o.ListErr = o.f.Memory.ModulesAt(o.List) }

// WithProcessors is the guest of a dump that was opened, with what its memory holds of
// the processors, and the bug check: that in memory, else the header's. It is g where
// its Kernel is not known, or that of a triage dump, which has them. Nothing is verified,
// and nothing said of what can't be read.
func WithProcessors(g *Guest) *Guest {
	if g.f.Kernel == nil || g.f.Header == nil || g.f.shown != nil {
		return g
	}
	f := *g.f
	f.List = finding.List{}
	list, _ := f.Kernel.Processors(int(min(f.Header.NumberProcessors, kdbg.MaxProcessors)))
	f.Processors = nil
	for _, p := range list {
		f.Processors = append(f.Processors, processor.Read(f.machine, f.Memory, p))
	}
	if image, err := f.Memory.ReadImage(vtop.VA(f.Kernel.Data.KernBase)); err == nil {
		f.KernelImage = image
	}
	if bc, err := f.Kernel.BugCheck(); err == nil && bc.Code != 0 {
		f.BugCheck = &bc
	} else if h := f.Header; h.BugCheckCode != 0 && h.BugCheckCode != problem.Fill && h.BugCheckCode != bugcheck.LiveSystemDump {
		f.BugCheck = &kdbg.BugCheck{Code: h.BugCheckCode, CodeHigh: h.BugCheckCodePad, Parameters: h.BugCheckParameters}
	}
	return &Guest{f: &f}
}
