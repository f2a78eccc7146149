package guest

import (
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
// [*finding.RefusedError]: the header is no dump's.
func Open(im *physmem.Image, opt Options) (*Opened, error) {
	g, err := FindHeader(im, opt)
	o, f := &Opened{Guest: g}, g.f
	if err != nil {
		return o, err
	}
	f.Memory = f.headerMemory()
	f.SharedUserData, o.SharedErr = f.Memory.SharedUserData()
	o.List = vtop.VA(f.Header.PsLoadedModuleList)
	at := vtop.VA(f.Header.KdDebuggerDataBlock)
	k, err := f.Memory.ReadUnverified(at)
	if err == nil {
		f.Kernel, f.Memory, o.List = k, k.Memory, vtop.VA(k.Data.PsLoadedModuleList)
	} else {
		_, decoded := f.Memory.Decode(at, kdbg.Expect{})
		o.BlockErr, o.Encoded = err, decoded == nil
	}
	f.Modules, o.ListErr = f.Memory.ModulesAt(o.List)
	return o, nil
}

// WithProcessors is the guest of a dump that was opened, with what its memory holds of
// the processors, and the bug check: that in memory, else the header's. It is g where
// its Kernel is not known, or that of a triage dump, which has them. Nothing is verified, and nothing said of what can't be read.
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
