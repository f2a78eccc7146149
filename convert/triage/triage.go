package triage

import (
	"context"
	"io"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/processor"
	"windmp/convert/report"
	"windmp/convert/stack"
	"windmp/kdbg"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/wincontext"
)

const (
	// DefaultSize is the budget where none is given, bytes: room for what walks the
	// stack, and still an attachment of a ticket.
	DefaultSize = 1 << 20
	// MaxSize bounds the budget, bytes: the dump is held in memory.
	MaxSize = 64 << 20
)

// Subject is the guest as the dump shows it.
type Subject struct {
	Guest *guest.Guest
	// Memory is the guest's, with all edits.
	Memory io.ReaderAt
	// Header is the output's, as a dump of all memory would have it.
	Header *winhdr.Header
	// Shown is the processor that debuggers start on, with its registers and the
	// root of its page tables, 0 where that is not known. Others are the rest.
	Shown
	Others []Shown
	// Stack is that of what crashed, nil where it is not known.
	Stack *stack.Stack
	// Flags are those of the header's exception record.
	Flags uint32
}

// Shown is a processor with the registers that the dump shows of it.
type Shown struct {
	processor.Processor
	Context wincontext.Context // nil where none are known
	Root    uint64
}

// Options choose what goes in.
type Options struct {
	// Size is the most bytes that the dump has; 0 means DefaultSize.
	Size int64
	// KeepProcesses are the ids of processes whose memory may be kept. The dump can
	// show that of the shown processor's process alone.
	KeepProcesses []uint64
	// Report makes the report that travels inside a dump of that size, of what went in;
	// nil for none. It is called twice, and the second is not longer.
	Report func(r *report.Triage, found []finding.Finding, size int64) []byte
}

// Dump is a small dump.
type Dump struct {
	// Header is its header.
	Header *winhdr.Header
	// Pieces are the whole of it, one behind the other.
	Pieces [][]byte
	// Report says what went in.
	Report *report.Triage

	finding.List
}

// planner is a dump in the making.
type planner struct {
	Subject
	ctx       context.Context //nolint:containedctx // lives as long as one call
	opt       Options
	view      *view
	modules   []kdbg.Module
	current   kdbg.Current
	kept      uint64             // the id of the process whose memory may be held, 0 for none
	peb       vtop.VA            // its environment block
	exception wincontext.Context // shown instead of the processor's; nil for none
	parts     parts
	held      pieces
	entry     int   // bytes of a block in the table
	fixed     int64 // bytes of all but the blocks
	limit     int64 // bytes of the dump
	tallies   map[Kind]*tally
	followed  map[vtop.VA]bool

	finding.List
}

// New plans a small dump, until ctx ends. The error is a [*finding.RefusedError], a
// [*stage.UsageError] for a process that can't be kept, or the cause of ctx; what was
// found is returned with it.
func New(ctx context.Context, s Subject, opt Options) (*Dump, error) {
	p := &planner{
		Subject: s, ctx: ctx, opt: opt, tallies: map[Kind]*tally{}, followed: map[vtop.VA]bool{},
		view: newView(s.Guest.Kernel(), s.Memory, s.Root), modules: s.Guest.Modules(),
	}
	d, err := p.plan()
	d.List = p.List
	return d, err
}
