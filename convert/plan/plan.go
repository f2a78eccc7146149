package plan

import (
	"bytes"
	"fmt"
	"slices"

	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/vtop"
	"windmp/winhdr"
)

// Plan is everything that is decided before the first byte is written: the
// header, the memory runs and the edits of guest memory.
type Plan struct {
	Guest *guest.Guest
	// Header is the output's header.
	Header *winhdr.Header
	// Edits are the changes of guest memory, in the order they were planned.
	Edits []Edit
	// Size is the size of the whole output in bytes.
	Size int64

	layout dump.Layout

	mode         ContextMode
	missingMode  report.MissingMode
	memory       memoryPlan
	cpus         []cpuPlan
	shown        *cpuPlan
	improvements []report.Improvement

	finding.List
}

// NewPlan decides what the output holds. It touches no file but the source,
// which it reads. The error is a [*StageError]; the plan is returned with it as
// far as it came.
func New(g *guest.Guest, opt Options) (*Plan, error) {
	p := &Plan{Guest: g, Header: g.Header.Clone(), mode: opt.contexts(), missingMode: opt.missing()}
	plan := p.planDump
	if opt.To == FormatELF {
		plan = func(Options) error { return p.planCore() }
	}
	if err := plan(opt); err != nil {
		return p, &stage.Error{Stage: stage.Plan, Err: err}
	}
	if opt.Strict {
		if err := p.refuseWarnings(); err != nil {
			return p, &stage.Error{Stage: stage.Plan, Err: err}
		}
	}
	return p, nil
}

// planDump plans a Windows dump.
func (p *Plan) planDump(opt Options) error {
	if err := p.planMemory(opt); err != nil {
		return err
	}
	if err := p.setRuns(); err != nil {
		return err
	}
	p.editKDBG()
	p.editFlag()
	p.chooseContexts(p.mode)
	p.editContexts()
	p.showFirst()
	if err := p.patchHeader(); err != nil {
		return err
	}
	layout, err := p.layOut() // of the same size, with the finished header
	p.layout = layout
	return err
}

// setRuns writes the type and the run table. The table of a bitmap dump is not
// read by a debugger, but other readers check it: it lists as many runs as fit.
func (p *Plan) setRuns() error {
	p.Header.DumpType = p.memory.kind
	runs := p.Guest.Runs
	if p.memory.kind != winhdr.DumpTypeBitmapKernel {
		runs = p.memory.runs
	}
	return p.Header.SetRuns(runs[:min(len(runs), p.Header.Format().MaxRuns())])
}

// Findings are those of the examination and of the plan.
func (p *Plan) Findings() []finding.Finding {
	return append(append([]finding.Finding(nil), p.Guest.Findings()...), p.All...)
}

// refuseWarnings is --strict: the first finding that is worse than info.
func (p *Plan) refuseWarnings() error {
	for _, f := range p.Findings() {
		if f.Severity.Rank() > finding.SeverityInfo.Rank() {
			return &finding.RefusedError{Finding: f}
		}
	}
	return nil
}

// edit plans a write to guest-virtual memory. One that can't be made, or that
// falls outside the dump's pages, becomes a finding.
func (p *Plan) edit(va vtop.VA, b []byte, reason string) {
	edits, err := editsAt(p.Guest.Memory.Space, va, b, reason)
	if err != nil {
		p.Add(finding.EditOutside.At("VA "+va.String(), "can't be written: %v", err))
		return
	}
	for _, e := range edits {
		if !p.memory.contains(e.PA, uint64(len(e.Bytes))) {
			p.Add(finding.EditOutside.At(fmt.Sprintf("VA %s, PA %#x", e.VA, e.PA), "%s: the page is not among the dump's", reason))
			continue
		}
		p.Edits = append(p.Edits, e)
	}
}

// editKDBG writes the decoded block over an encoded one: the engine does not
// decode it.
func (p *Plan) editKDBG() {
	if b := p.Guest.Kernel; b.Encoded {
		p.edit(b.VA, b.Raw, "KDBG decoded")
	}
}

// patchHeader sets the fields that the header's author could not know, the
// first of them as QEMU's win-dmp does (dump/win_dump.c).
func (p *Plan) patchHeader() error {
	h, g := p.Header, p.Guest
	h.PfnDataBase = g.Kernel.Data.MmPfnDatabase
	if !p.finished() {
		h.ClearAlignment()
	}
	h.RequiredDumpSpace = uint64(p.Size) //nolint:gosec // a sum of run sizes
	p.patchBugCheck()
	p.patchTimes()
	p.patchBuild()
	return p.patchShown()
}

// patchBugCheck takes the bug check from memory. When it is unreadable the
// header says 0, not 0x161: it is not known that the guest was alive. The
// driver's KDBG address is taken out of BugcheckParameter1 in any case.
func (p *Plan) patchBugCheck() {
	h, bc := p.Header, p.Guest.BugCheck
	if bc == nil {
		p.improve("BugCheckParameters", finding.Hex(h.BugCheckParameters[0]), "0x0", "the driver's KDBG address is no parameter; the guest's bug check is not readable")
		h.BugCheckCode, h.BugCheckCodePad, h.BugCheckParameters = 0, 0, [4]uint64{}
		return
	}
	h.BugCheckCode, h.BugCheckCodePad, h.BugCheckParameters = bc.Code, bc.CodeHigh, bc.Parameters
	if h.BugCheckCode == 0 {
		h.BugCheckCode = winhdr.BugCheckLiveSystemDump
	}
}

// patchTimes replaces the driver's times, taken at its start, by the guest's. A
// time that the guest was just writing reads as 0.
func (p *Plan) patchTimes() {
	h, k := p.Header, p.Guest.SharedUserData
	if k == nil {
		return
	}
	if _, err := winhdr.Time(h.SystemTime); err == nil && p.finished() && h.SystemTime >= k.SystemTime {
		return
	}
	const reason = "from KUSER_SHARED_DATA: the guest driver's is from its start"
	if k.SystemTime != 0 {
		p.improve("SystemTime", finding.Hex(h.SystemTime), finding.Hex(k.SystemTime), reason)
		h.SystemTime = k.SystemTime
	}
	if k.InterruptTime != 0 {
		p.improve("SystemUpTime", finding.Hex(h.SystemUpTime), finding.Hex(k.InterruptTime), reason)
		h.SystemUpTime = k.InterruptTime
	}
	p.Add(finding.TimeUpdated.At("VA "+p.Guest.Machine().Kernel.SharedUserData.String(), "system time and uptime are taken from KUSER_SHARED_DATA"))
}

// patchBuild repairs an implausible build number: the engine was seen to take
// builds 0 and 1 for a target too old to have a KDBG.
func (p *Plan) patchBuild() {
	h, k := p.Header, p.Guest.SharedUserData
	if h.MinorVersion >= h.Format().MinBuild && h.MinorVersion <= guest.MaxBuild || k == nil {
		return
	}
	build := k.NtBuildNumber & guest.MaxBuild
	if build < h.Format().MinBuild {
		return
	}
	p.improve("MinorVersion", finding.Hex(h.MinorVersion), finding.Hex(build), "from KUSER_SHARED_DATA: the header's build number is implausible")
	p.Add(finding.HeaderRepaired.At("header offset 0xc", "build number %#x is implausible, KUSER_SHARED_DATA's %d is written", h.MinorVersion, build))
	h.MinorVersion = build
}

// showFirst picks the processor that WinDbg shall show first: the one that
// crashed, else the first with registers.
func (p *Plan) showFirst() {
	for i := range p.cpus {
		if c := &p.cpus[i]; c.Context != nil {
			if p.shown == nil {
				p.shown = c
			}
			if p.crashedOn(c) {
				p.shown = c
				p.Add(finding.ShownFirst.At("", "processor %d raised the bug check and is shown first", c.proc.Index))
				return
			}
		}
	}
	if p.shown != nil && p.Guest.Crashed() {
		p.Add(finding.ShownFirst.At("", "which processor raised the bug check is not known; processor %d is shown first", p.shown.proc.Index))
	}
}

// crashedOn recognises the processor that called KeBugCheckEx, by the call's
// arguments: the CONTEXT captured in it still holds those that registers pass.
func (p *Plan) crashedOn(c *cpuPlan) bool {
	if !p.Guest.Crashed() || c.proc.Saved == nil {
		return false
	}
	bc := p.Guest.BugCheck
	call := append([]uint64{uint64(bc.Code)}, bc.Parameters[:]...)
	arguments := c.proc.Saved.Arguments()
	if arguments == nil {
		return p.onStack(c.proc.Saved.SP(), call)
	}
	n := min(len(arguments), len(call))
	return arguments[0]&0xffffffff == call[0] && slices.Equal(arguments[1:n], call[1:n])
}

// argumentsSearched is how much of a stack is searched for the arguments of
// KeBugCheckEx, in bytes: the frames of the functions that save the CONTEXT.
const argumentsSearched = 0x400

// onStack tells whether arguments lie on the stack one after the other, where no
// register passes them (stdcall).
func (p *Plan) onStack(sp uint64, arguments []uint64) bool {
	stack := make([]byte, argumentsSearched)
	n, _ := p.Guest.Memory.Space.ReadVirtual(stack, vtop.VA(sp)) // what of it is mapped
	return bytes.Contains(stack[:n], p.Header.Format().Pointers(arguments...))
}

// exceptionNoncontinuable is EXCEPTION_NONCONTINUABLE, the flag that the
// headers of real bug check dumps carry (observed in builds 9600 to 26100).
const exceptionNoncontinuable = 1

// patchShown writes the header's CONTEXT and exception record. The engine takes
// the processor whose CONTEXT has this Rsp for the current one; readers refuse
// a header CONTEXT whose two MxCsr differ, as those of real contexts do.
func (p *Plan) patchShown() error {
	if p.shown == nil || p.finished() && p.headerShows() {
		return nil
	}
	before := p.Header.Encode()
	ctx := p.shown.Context.ForHeader()
	var flags uint32
	if p.Guest.Crashed() {
		flags = exceptionNoncontinuable
	}
	if err := p.Header.Show(ctx, flags); err != nil {
		return err
	}
	if bytes.Equal(before, p.Header.Encode()) {
		return nil
	}
	who := fmt.Sprintf("processor %d", p.shown.proc.Index)
	p.improve("ContextRecord", "the guest driver's", who, "WinDbg shows the processor with this CONTEXT first")
	p.improve("Exception", "the guest driver's", fmt.Sprintf("%#x at %s", winhdr.StatusBreakpoint, vtop.VA(ctx.IP())), "an unset exception record is shown as an unknown exception")
	return nil
}

// finished tells whether the header is that of a dump that was written before,
// and not the template that a driver made at its start: a dump's header has a
// bug check code, the template has none yet.
func (p *Plan) finished() bool {
	code := p.Guest.Header.BugCheckCode
	return code != 0 && code != winhdr.Fill
}

// headerShows tells whether the header's CONTEXT already names a processor, as
// the engine looks for it: by the stack pointer.
func (p *Plan) headerShows() bool {
	h := p.Guest.Header.Context()
	if h.Plausible() != nil {
		return false
	}
	for _, c := range p.cpus {
		if c.Context != nil && c.Context.SP() == h.SP() {
			return true
		}
	}
	return false
}

// improve notes a header field of the output that the guest's header had
// otherwise.
func (p *Plan) improve(field, from, to, reason string) {
	if p.Guest.Built {
		return // there is no header of the guest's to improve on
	}
	p.improvements = append(p.improvements, report.Improvement{Field: field, From: from, To: to, Reason: reason})
}

// readable is an error when a read of the source has failed: the plan may rest on
// what another try would find.
func (p *Plan) Readable() error {
	if err := p.Guest.Image.ReadFailure(); err != nil {
		return &stage.Error{Stage: stage.Plan, Err: err}
	}
	return nil
}

// editFlag clears KdpDataBlockEncoded, as Windows does when it decodes the block.
func (p *Plan) editFlag() {
	if at := p.Guest.Flag; at != 0 {
		p.edit(at, []byte{0}, "KdpDataBlockEncoded cleared")
	}
}
