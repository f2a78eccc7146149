package plan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/problem"
)

// Plan is everything that is decided before the first byte is written: the header,
// which pages, and the edits of guest memory. It is data, and does not change: what its
// methods return is the caller's own.
type Plan struct {
	guest *guest.Guest
	// original is the header as the guest left it, nil where it left none; reasons
	// are why the output's states fields otherwise.
	original, header *winhdr.Header
	reasons          []report.Reason
	edits            []Edit
	layout           dump.Layout
	triage           *report.Triage // of a small dump

	memory memoryPlan
	cpus   []CPU
	shown  *CPU

	found finding.List
}

// New decides what the output holds. It reads nothing but the source: of a kernel dump
// all page tables of the kernel, and ctx ends that. The error is a [*stage.Error], around
// the cause of ctx where that ended; the plan is returned with it as far as it came.
func New(ctx context.Context, g *guest.Guest, opt Options) (*Plan, error) {
	p := &Plan{guest: g}
	if err := p.plan(ctx, opt); err != nil {
		return p, &stage.Error{Stage: stage.Plan, Err: err}
	}
	return p, nil
}

func (p *Plan) plan(ctx context.Context, opt Options) error {
	if err := opt.Validate(); err != nil {
		return err
	}
	if !p.guest.Complete() {
		return ErrIncomplete
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	origin := p.guest.Origin()
	p.header, p.original, p.reasons = p.guest.Header(), origin.Original, origin.Reasons
	plan := p.planDump
	switch {
	case opt.To == FormatELF:
		plan = p.planCore
	case opt.Type == OutputTriage:
		plan = p.planTriage
	}
	if err := plan(ctx, opt); err != nil {
		return err
	}
	if opt.Strict {
		return p.refuseWarnings()
	}
	return nil
}

// ErrIncomplete says that the guest was not found, so that nothing can be planned.
var ErrIncomplete = errors.New("the guest was not understood: nothing can be planned")

// Guest is the guest that the plan is of.
func (p *Plan) Guest() *guest.Guest { return p.guest }

// Header is the output's header; nil where the plan did not come to it.
func (p *Plan) Header() *winhdr.Header {
	if p.header == nil {
		return nil
	}
	return p.header.Clone()
}

// Edits are the changes of guest memory, in the order they were planned.
func (p *Plan) Edits() []Edit {
	list := slices.Clone(p.edits)
	for i := range list {
		list[i].Bytes = bytes.Clone(list[i].Bytes)
	}
	return list
}

// CPUs are the registers that the output shows of each processor.
func (p *Plan) CPUs() []CPU {
	list := make([]CPU, 0, len(p.cpus))
	for i := range p.cpus {
		list = append(list, p.cpus[i].clone())
	}
	return list
}

// Size is the size of the whole output in bytes, 0 where the plan did not come to it.
func (p *Plan) Size() int64 {
	if p.layout == nil {
		return 0
	}
	return p.layout.Size()
}

// Findings are those of the plan alone.
func (p *Plan) Findings() []finding.Finding { return slices.Clone(p.found.All) }

// planDump plans a Windows dump.
func (p *Plan) planDump(ctx context.Context, opt Options) error {
	if err := p.planMemory(ctx, opt); err != nil {
		return err
	}
	if err := p.setRuns(); err != nil {
		return err
	}
	if err := p.decide(opt); err != nil {
		return err
	}
	return p.layOut() // of the same size, with the finished header
}

// decide settles what the dump says of the guest: the edits of memory, the registers,
// and the header.
func (p *Plan) decide(opt Options) error {
	p.editKDBG()
	p.editFlag()
	p.chooseContexts(opt.contexts())
	p.editContexts(opt.contexts())
	p.showFirst()
	return p.patchHeader()
}

// setRuns writes the type and the run table. The table of a bitmap dump is not
// read by a debugger, but other readers check it: it lists as many runs as fit. That of a
// kernel dump has all memory of the machine.
func (p *Plan) setRuns() error {
	p.header.DumpType = p.memory.kind
	runs := p.memory.machine
	if p.memory.kind != winhdr.DumpTypeBitmapKernel {
		runs = p.memory.table()
	}
	return p.header.SetRuns(runs[:min(len(runs), p.header.Format().MaxRuns())])
}

// refuseWarnings is --strict: the first finding that is worse than info.
func (p *Plan) refuseWarnings() error {
	for _, f := range append(p.guest.Findings(), p.found.All...) {
		if f.Severity.Rank() > finding.SeverityInfo.Rank() && !p.beside(f) {
			return &finding.RefusedError{Finding: f}
		}
	}
	return nil
}

// edit plans a write to guest-virtual memory. One that can't be made, or that
// falls outside the dump's pages, becomes a finding.
func (p *Plan) edit(va vtop.VA, b []byte, reason string) {
	edits, err := editsAt(p.guest.Memory().Space, va, b, reason)
	if err != nil {
		p.found.Add(finding.EditOutside.At("VA "+va.String(), "an edit can't be written").Because(err))
		return
	}
	for _, e := range edits {
		if !p.memory.contains(e.PA, uint64(len(e.Bytes))) {
			p.found.Add(finding.EditOutside.At(fmt.Sprintf("VA %s, PA %#x", e.VA, e.PA), "%s: the page is not among the dump's", reason))
			continue
		}
		p.edits = append(p.edits, e)
	}
}

// editKDBG writes the decoded block over an encoded one: the engine does not
// decode it.
func (p *Plan) editKDBG() {
	if b := p.guest.Kernel(); b.Encoded {
		p.edit(b.VA, b.Raw, "KDBG decoded")
	}
}

// patchHeader sets the fields that the header's author could not know, the
// first of them as QEMU's win-dmp does (dump/win_dump.c).
func (p *Plan) patchHeader() error {
	h := p.header
	h.PfnDataBase = p.guest.Kernel().Data.MmPfnDatabase
	if !p.finished() {
		h.ClearAlignment()
	}
	h.RequiredDumpSpace = uint64(p.Size()) //nolint:gosec // a sum of run sizes
	p.patchBugCheck()
	p.patchTimes()
	p.patchBuild()
	return p.patchShown()
}

// patchBugCheck takes the bug check from memory. When it is unreadable the
// header says 0, not 0x161: it is not known that the guest was alive. The
// driver's KDBG address is taken out of BugcheckParameter1 in any case.
func (p *Plan) patchBugCheck() {
	h, bc := p.header, p.guest.BugCheck()
	if bc == nil {
		p.because("BugCheckParameters", "the driver's KDBG address is no parameter; the guest's bug check is not readable")
		h.BugCheckCode, h.BugCheckCodePad, h.BugCheckParameters = 0, 0, [4]uint64{}
		return
	}
	h.BugCheckCode, h.BugCheckCodePad, h.BugCheckParameters = bc.Code, bc.CodeHigh, bc.Parameters
	if h.BugCheckCode == 0 {
		h.BugCheckCode = bugcheck.LiveSystemDump
	}
}

// patchTimes replaces the driver's times, taken at its start, by the guest's. A
// time that can't be told reads as 0.
func (p *Plan) patchTimes() {
	h, k := p.header, p.guest.SharedUserData()
	if k == nil {
		return
	}
	if _, err := winhdr.Time(h.SystemTime); err == nil && p.finished() && h.SystemTime >= k.SystemTime {
		return
	}
	where := "VA " + p.guest.Machine().Kernel.SharedUserData.String()
	var taken []string
	take := func(field, name string, at *uint64, guest uint64) {
		if guest == 0 {
			p.found.Add(finding.TimeStale.At(where, "KUSER_SHARED_DATA has no %s (its halves are of different times, or 0): the header's stays", name))
			return
		}
		p.because(field, "from KUSER_SHARED_DATA: the guest driver's is from its start")
		*at = guest
		taken = append(taken, name)
	}
	take("SystemTime", "system time", &h.SystemTime, k.SystemTime)
	take("SystemUpTime", "uptime", &h.SystemUpTime, k.InterruptTime)
	switch len(taken) {
	case 0:
	case 1:
		p.found.Add(finding.TimeUpdated.At(where, "the %s is taken from KUSER_SHARED_DATA", taken[0]))
	default:
		p.found.Add(finding.TimeUpdated.At(where, "%s are taken from KUSER_SHARED_DATA", strings.Join(taken, " and ")))
	}
}

// patchBuild repairs an implausible build number: the engine was seen to take
// builds 0 and 1 for a target too old to have a KDBG.
func (p *Plan) patchBuild() {
	h, k := p.header, p.guest.SharedUserData()
	if h.Format().Builds(h.MinorVersion) || k == nil {
		return
	}
	_, build := k.Build()
	if !h.Format().Builds(build) {
		return
	}
	p.because("MinorVersion", "from KUSER_SHARED_DATA: the header's build number is implausible")
	p.found.Add(finding.HeaderRepaired.At("header offset 0xc", "build number %d is implausible, KUSER_SHARED_DATA's %d is written", h.MinorVersion, build))
	h.MinorVersion = build
}

// finished tells whether the header is that of a dump that was written before,
// and not the template that a driver made at its start: a dump's header has a
// bug check code, the template has none yet.
func (p *Plan) finished() bool {
	code := p.guest.Header().BugCheckCode
	return code != 0 && code != problem.Fill
}

// because notes why the output's header states a field otherwise than the guest's.
func (p *Plan) because(field, why string) {
	p.reasons = append(p.reasons, report.Reason{Field: field, Why: why})
}

// Improvements are the header fields that the output states better than the guest's
// header did: those of which a reason is known, as far as the two headers differ in
// them. A header that was built improves on none.
func (p *Plan) Improvements() []report.Improvement {
	if p.original == nil || p.header == nil {
		return nil
	}
	diffs := winhdr.Diff(p.original, p.header)
	var list []report.Improvement
	for _, r := range p.reasons {
		i := slices.IndexFunc(diffs, func(d winhdr.FieldDiff) bool { return d.In(headerField(r.Field)) })
		if i < 0 {
			continue
		}
		list = append(list, report.Improvement{
			Field: r.Field, From: cmp.Or(r.From, diffs[i].From), To: cmp.Or(r.To, diffs[i].To), Reason: r.Why,
		})
	}
	return list
}

// headerField is the header's name for what reports call a field.
func headerField(name string) string {
	if name == "ContextRecord" { // of DUMP_HEADER64; the CONTEXT itself is winhdr's Context
		return "Context"
	}
	return name
}

// Readable is an error when a read of the source has failed: the plan may rest on
// what another try would find.
func (p *Plan) Readable() error {
	if err := p.guest.Image().ReadFailure(); err != nil {
		return &stage.Error{Stage: stage.Plan, Err: err}
	}
	return nil
}

// editFlag clears KdpDataBlockEncoded, as Windows does when it decodes the block.
func (p *Plan) editFlag() {
	if at := p.guest.Origin().Flag; at != 0 {
		p.edit(at, []byte{0}, "KdpDataBlockEncoded cleared")
	}
}
