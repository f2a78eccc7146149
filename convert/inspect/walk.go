package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/vtop"
)

// MaxWalkRead is the most bytes that a walk reads at each address.
const MaxWalkRead = 64 << 10

// WalkOptions choose the address space.
type WalkOptions struct {
	// DTB is the page tables' root; 0 for System's, or PID's.
	DTB uint64
	// PID is the process whose page tables are used, when HasPID is set.
	PID    uint64
	HasPID bool
	// Levels is 2 to 5, 0 for what the guest uses.
	Levels int
	// Read is how many bytes are read at each address, at most [MaxWalkRead].
	Read int
	// Source and Guest are as those of [InfoOptions].
	Source source.Options
	Guest  guest.Options
}

// WalkReport is the translation of some addresses.
type WalkReport struct {
	Input report.Input  `json:"input"`
	Error *report.Error `json:"error,omitempty"`
	DTB   report.Hex    `json:"directory_table_base"`
	// Levels is how many levels of tables there are, 2 to 5.
	Levels int `json:"levels,omitempty"`
	// Process is the name of the process chosen by its id.
	Process  string            `json:"process,omitempty"`
	Walks    []AddressWalk     `json:"walks"`
	Findings []finding.Finding `json:"findings"`
	// Machine is the one whose page tables are walked, nil before that is known.
	Machine *machine.Machine `json:"-"`
	steps   *vtop.Space      // that are walked
	image   *physmem.Image
}

// AddressWalk is the way of one address through the page tables.
type AddressWalk struct {
	VA    report.Hex `json:"va"`
	Steps []WalkStep `json:"steps"`
	// Mapped is true when the guest maps the address; then the next four are
	// set.
	Mapped bool `json:"mapped"`
	// Transition is set for a page that Windows has taken out of a working set.
	Transition bool       `json:"transition,omitempty"`
	PA         report.Hex `json:"pa"`
	PageSize   uint64     `json:"page_size,omitempty"`
	// FileOffset is where the file holds it, -1 where it does not, or not byte
	// by byte.
	FileOffset int64 `json:"file_offset"`
	// Error says why the address can't be translated or read.
	Error string `json:"error,omitempty"`
	// Bytes are what was read, in hex.
	Bytes string `json:"bytes,omitempty"`
	// Data is Bytes as they are.
	Data []byte `json:"-"`
}

// WalkStep is an entry of a page table.
type WalkStep struct {
	// Level counts down to 1. Name is the manual's: PML5E, PML4E, PDPTE, PDE, PTE on x86
	// and x64; L0 to L3 on Arm.
	Level   int        `json:"level"`
	Name    string     `json:"name"`
	EntryPA report.Hex `json:"entry_pa"`
	Entry   report.Hex `json:"entry"`
	Flags   []string   `json:"flags"`
}

// newWalk is a report in which nothing is said yet.
func newWalk(in report.Input) *WalkReport {
	return &WalkReport{Input: in, Walks: []AddressWalk{}, Findings: []finding.Finding{}}
}

// Walk translates addresses of a file. The report is never nil, and the errors are
// those of [Info]; an address that is not mapped is no error.
func Walk(ctx context.Context, in source.Input, vas []uint64, opt WalkOptions) (*WalkReport, error) {
	r := newWalk(report.Input{Path: in.Path()})
	err := opt.Validate()
	if err == nil {
		err = source.With(ctx, in, counted(opt.Source, &r.Input), func(ctx context.Context, s *source.Source) error {
			im, err := s.Image(ctx)
			if err != nil {
				return err
			}
			return r.walk(ctx, im, vas, opt)
		})
	}
	if cutShort(err) {
		r = newWalk(opened(r.Input))
	}
	r.Error = report.OfError(err)
	return r, err
}

// Validate returns a [*stage.UsageError] if the options make no sense for any file.
func (o *WalkOptions) Validate() error {
	switch {
	case o.Read < 0 || o.Read > MaxWalkRead:
		return &stage.UsageError{Reason: "at most " + binio.Bytes(MaxWalkRead) + " are read at an address"}
	case o.Levels != 0 && !hasMode(o.Levels, machine.OrAll(o.Guest.Machines)):
		return &stage.UsageError{Reason: "page tables have 2 to 5 levels"}
	case o.DTB != 0 && o.HasPID:
		return &stage.UsageError{Reason: "a directory table base and a process are two address spaces"}
	}
	return cmp.Or(o.Source.Validate(), o.Guest.Validate())
}

func (r *WalkReport) walk(ctx context.Context, im *physmem.Image, vas []uint64, opt WalkOptions) error {
	r.Input = report.OfImage(r.Input.Path, im)
	if err := r.choose(ctx, im, opt); err != nil {
		return err
	}
	r.Levels = len(r.steps.Mode.Levels)
	for _, va := range vas {
		r.Walks = append(r.Walks, r.one(vtop.VA(va), opt.Read))
	}
	return nil
}

// choose settles the address space. With a directory table base, the guest need
// not be understood.
func (r *WalkReport) choose(ctx context.Context, im *physmem.Image, opt WalkOptions) error {
	g, err := guest.Find(ctx, im, opt.Guest)
	r.Findings = append(r.Findings, g.Findings()...)
	r.image = g.Image() // with the holes that were found, not that which was opened
	m, mode := modeWith(opt.Levels, append([]*machine.Machine{g.Machine()}, machine.OrAll(opt.Guest.Machines)...))
	if mode == nil {
		m, mode = g.Machine(), g.Mode()
	}
	known := g.Memory().Space
	if uses := len(g.Mode().Levels); err == nil && opt.Levels != 0 && opt.Levels != uses {
		return &stage.UsageError{Reason: fmt.Sprintf("the guest's page tables have %d levels, not %d", uses, opt.Levels)}
	}
	r.Machine, r.steps = m, vtop.NewSpace(r.image, opt.DTB, mode)
	r.DTB = report.Hex(r.steps.DTB)
	if known != nil {
		r.steps.Swizzle = known.Swizzle
	}
	switch {
	case opt.DTB != 0:
		return nil
	case err != nil && known == nil:
		return err
	}
	r.steps.DTB, r.steps.Lower = known.DTB, known.Lower
	r.DTB = report.Hex(known.DTB)
	if !opt.HasPID {
		return nil
	}
	root, name, err := processTable(g, opt.PID)
	r.DTB, r.Process, r.steps = report.Hex(mode.Root(root)), name, r.steps.At(root)
	return err
}

// processTable is the page tables' root of a process.
func processTable(g *guest.Guest, pid uint64) (dtb uint64, name string, err error) {
	if g.Kernel() == nil {
		return 0, "", &stage.UsageError{Reason: "the list of processes is not known"}
	}
	list, err := g.Kernel().Processes()
	for i := range list {
		if list[i].PID == pid {
			return list[i].DirectoryTable, list[i].Name, list[i].Err
		}
	}
	return 0, "", errors.Join(&stage.UsageError{Reason: fmt.Sprintf("no process has the id %d", pid), Hint: "the process list of the guest has them"}, err)
}

func (r *WalkReport) one(va vtop.VA, read int) AddressWalk {
	w := AddressWalk{VA: report.Hex(va), Steps: []WalkStep{}, FileOffset: -1}
	steps, err := r.steps.Walk(va)
	for _, s := range steps {
		w.Steps = append(w.Steps, WalkStep{Level: s.Level, Name: r.steps.Mode.Levels[s.Level-1].Name, EntryPA: report.Hex(s.EntryPA), Entry: report.Hex(s.Entry), Flags: r.steps.Flags(s.Level, s.Entry)})
	}
	if err == nil {
		var m vtop.Mapping
		if m, err = r.steps.Translate(va); err == nil {
			w.Mapped, w.Transition = true, m.Transition
			w.PA, w.PageSize = report.Hex(m.PA), m.PageSize
			w.FileOffset = offsetOf(r.image, uint64(m.PA))
		}
	}
	if err == nil && read > 0 {
		buf := make([]byte, read)
		var n int
		n, err = r.steps.ReadVirtual(buf, va)
		w.Data, w.Bytes = buf[:n], fmt.Sprintf("%x", buf[:n])
	}
	if err != nil {
		w.Error = err.Error()
	}
	return w
}

// offsetOf is where the file holds a physical address, -1 for nowhere.
func offsetOf(im *physmem.Image, pa uint64) int64 {
	if off, ok := im.FileOffset(pa); ok {
		return off
	}
	return -1
}

func hasMode(levels int, machines []*machine.Machine) bool {
	_, mode := modeWith(levels, machines)
	return mode != nil
}

// modeWith is the first paging mode of machines that has so many levels, with its
// machine; nil for none.
func modeWith(levels int, machines []*machine.Machine) (*machine.Machine, *vtop.Mode) {
	for _, m := range machines {
		for _, mode := range m.Modes {
			if len(mode.Levels) == levels {
				return m, mode
			}
		}
	}
	return nil, nil
}
