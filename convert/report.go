package convert

import (
	"errors"
	"fmt"
	"time"

	"windmp/physmem"
	"windmp/winhdr"
)

// Hex is a number that reports print in hex: JSON numbers lose bits above 2^53.
type Hex uint64

// MarshalText prints h as 0x and hex digits.
func (h Hex) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%#x", uint64(h)), nil }

// Report tells what a conversion found, decided and did. Its JSON names are
// stable; docs/schema has their JSON Schema.
type Report struct {
	Input  InputReport  `json:"input"`
	Output OutputReport `json:"output"`
	// Verdict is OK, WARN, UNKNOWN or FAIL: the worst finding.
	Verdict string `json:"verdict"`
	// Error is set when the conversion did not succeed.
	Error        *ErrorReport  `json:"error,omitempty"`
	Guest        *GuestReport  `json:"guest,omitempty"`
	Memory       *MemoryReport `json:"memory,omitempty"`
	Processors   []CPUReport   `json:"processors,omitempty"`
	Improvements []Improvement `json:"improvements"`
	Edits        []EditReport  `json:"edits"`
	Findings     []Finding     `json:"findings"`
}

// InputReport describes the source.
type InputReport struct {
	Path string `json:"path"`
	// Size is the file's, in bytes.
	Size   int64  `json:"size"`
	Format string `json:"format,omitempty"`
	// Description is the container in words.
	Description string `json:"description,omitempty"`
	VCPUs       int    `json:"vcpus"`
}

// OutputReport describes the dump.
type OutputReport struct {
	Path string `json:"path"`
	// Written is true when the dump is complete under Path.
	Written  bool   `json:"written"`
	DryRun   bool   `json:"dry_run"`
	DumpType string `json:"dump_type,omitempty"`
	// Compression is how the file is packed; Size is that of the dump in it.
	Compression Compression `json:"compression,omitempty"`
	// Size is the dump's, in bytes.
	Size  int64  `json:"size"`
	Pages uint64 `json:"pages"`
	Runs  int    `json:"runs"`
	// LeftOut is the number of pages that a kernel dump leaves out.
	LeftOut uint64 `json:"left_out"`
}

// ErrorReport says what ended the conversion.
type ErrorReport struct {
	// Stage is the step of the run that failed.
	Stage   string `json:"stage,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// GuestReport is what is known of Windows.
type GuestReport struct {
	// Machine is x64 or x86.
	Machine             string          `json:"machine"`
	Build               uint32          `json:"build"`
	DirectoryTableBase  Hex             `json:"directory_table_base"`
	PagingLevels        int             `json:"paging_levels,omitempty"`
	KernelBase          Hex             `json:"kernel_base"`
	KDBG                Hex             `json:"kdbg"`
	KDBGSource          KDBGSource      `json:"kdbg_source,omitempty"`
	KDBGSize            int             `json:"kdbg_size,omitempty"`
	PsLoadedModuleList  Hex             `json:"ps_loaded_module_list"`
	PsActiveProcessHead Hex             `json:"ps_active_process_head"`
	Modules             int             `json:"modules"`
	NumberProcessors    uint32          `json:"number_processors"`
	BugCheck            *BugCheckReport `json:"bug_check,omitempty"`
	// SystemTime is RFC 3339, UTC.
	SystemTime string `json:"system_time,omitempty"`
	// UpTime is in seconds.
	UpTime float64 `json:"up_time,omitempty"`
}

// BugCheckReport is the bug check as the dump's header states it.
type BugCheckReport struct {
	Code       Hex    `json:"code"`
	Parameters [4]Hex `json:"parameters"`
	// Crashed is false for a live guest.
	Crashed bool `json:"crashed"`
}

// MemoryReport counts guest memory in bytes.
type MemoryReport struct {
	// Listed is what the guest's header lists.
	Listed uint64 `json:"listed"`
	// Missing is what of it the source does not hold, in Ranges.
	Missing uint64        `json:"missing"`
	Policy  MissingMode   `json:"policy"`
	Zeroed  uint64        `json:"zeroed"`
	Dropped uint64        `json:"dropped"`
	Ranges  []RangeReport `json:"missing_ranges,omitempty"`
	// Recovered is what was read from the file outside its PT_LOADs.
	Recovered uint64 `json:"recovered"`
}

// RangeReport is a range of guest-physical memory.
type RangeReport struct {
	PA   Hex    `json:"pa"`
	Size uint64 `json:"size"`
}

// CPUReport says whose registers the dump shows for a processor.
type CPUReport struct {
	Index int `json:"index"`
	// VCPU is the position in the source, -1 for none.
	VCPU     int           `json:"vcpu"`
	PRCB     Hex           `json:"prcb"`
	Contexts ContextSource `json:"contexts"`
	Rip      Hex           `json:"rip"`
	Rsp      Hex           `json:"rsp"`
	// Differs is set when the saved context and the vCPU's state disagree.
	Differs bool `json:"differs"`
	// ShownFirst marks the processor that WinDbg starts on.
	ShownFirst bool   `json:"shown_first"`
	Note       string `json:"note,omitempty"`
}

// EditReport is an [Edit] without the bytes: a report holds no guest memory.
type EditReport struct {
	VA     Hex    `json:"va"`
	PA     Hex    `json:"pa"`
	Size   int    `json:"size"`
	Reason string `json:"reason"`
}

func newReport(in, out string, dryRun bool) *Report {
	return &Report{
		Input:        InputReport{Path: in},
		Output:       OutputReport{Path: out, DryRun: dryRun, Compression: CompressionOf(out)},
		Memory:       nil,
		Improvements: []Improvement{}, Edits: []EditReport{}, Findings: []Finding{},
	}
}

func (r *Report) describeImage(im *physmem.Image) {
	r.Input.Size = im.FileSize()
	r.Input.Format = string(im.Format())
	r.Input.Description = im.Describe()
	r.Input.VCPUs = len(im.CPUs())
}

func (r *Report) describeGuest(g *Guest) {
	r.Findings = append(r.Findings, g.Findings()...)
	r.Improvements = append(r.Improvements, g.Improvements...)
	h := g.Header
	if h == nil {
		return
	}
	r.Guest = &GuestReport{
		Machine:            g.machine(),
		Build:              h.MinorVersion,
		DirectoryTableBase: Hex(h.DirectoryTableBase),
		PsLoadedModuleList: Hex(h.PsLoadedModuleList), PsActiveProcessHead: Hex(h.PsActiveProcessHead),
		NumberProcessors: h.NumberProcessors,
		KDBG:             Hex(h.KdDebuggerDataBlock), KDBGSource: g.KDBGSource,
		Modules: len(g.Modules),
	}
	if g.KDBG != nil {
		r.Guest.KernelBase = Hex(g.KDBG.Data.KernBase)
		r.Guest.KDBGSize = len(g.KDBG.Raw)
		r.Guest.PagingLevels = g.Space.Levels
	}
}

func (r *Report) describePlan(p *Plan) {
	r.Findings = append(r.Findings, p.list...)
	r.Improvements = append(r.Improvements, p.improvements...)
	r.describeMemory(p)
	for _, e := range p.Edits {
		r.Edits = append(r.Edits, EditReport{VA: Hex(e.VA), PA: Hex(e.PA), Size: len(e.Bytes), Reason: e.Reason})
	}
	for i := range p.cpus {
		r.Processors = append(r.Processors, p.describeCPU(&p.cpus[i]))
	}
	if p.Size == 0 {
		return
	}
	h := p.Header
	if p.front == nil {
		r.Output.DumpType = h.DumpType.String()
	}
	r.Output.Size, r.Output.Runs = p.Size, len(p.memory.runs)
	r.Output.Pages = p.memory.pages()
	r.Output.LeftOut = pageCount(p.memory.runs) - p.memory.pages()
	r.Guest.Build, r.Guest.NumberProcessors = h.MinorVersion, h.NumberProcessors
	if p.Guest.BugCheck != nil {
		r.Guest.BugCheck = &BugCheckReport{Code: Hex(h.BugCheckCode), Crashed: p.Guest.crashed()}
		for i, v := range h.BugCheckParameters {
			r.Guest.BugCheck.Parameters[i] = Hex(v)
		}
	}
	r.describeTimes(p)
}

// ticksPerSecond converts Windows' 100 ns.
const ticksPerSecond = 1e7

// describeTimes prints times only when they are sane: a header's may be fill.
func (r *Report) describeTimes(p *Plan) {
	if t, err := winhdr.Time(p.Header.SystemTime); err == nil {
		r.Guest.SystemTime = t.UTC().Format(time.RFC3339)
	}
	if up := p.Header.SystemUpTime; up != winhdr.Fill64 {
		r.Guest.UpTime = float64(up) / ticksPerSecond
	}
}

func (r *Report) describeMemory(p *Plan) {
	m := &MemoryReport{Policy: p.missingMode, Missing: p.memory.absent, Recovered: p.Guest.recovered}
	m.Listed = pageCount(p.Guest.Runs) * winhdr.PageSize
	switch p.missingMode {
	case MissingZero:
		m.Zeroed = p.memory.absent
	case MissingDrop:
		m.Dropped = p.memory.dropped * winhdr.PageSize
	case MissingFail:
	}
	for _, x := range p.memory.missing {
		m.Ranges = append(m.Ranges, RangeReport{PA: Hex(x.Start), Size: x.Size})
	}
	r.Memory = m
}

func (p *Plan) describeCPU(c *cpuPlan) CPUReport {
	out := CPUReport{Index: c.proc.Index, VCPU: -1, PRCB: Hex(c.proc.PRCB), Contexts: c.source, Differs: c.differs, Note: c.note, ShownFirst: c == p.shown}
	if c.proc.VCPU != nil {
		out.VCPU = c.proc.VCPU.Index
	}
	if c.context != nil {
		out.Rip, out.Rsp = Hex(c.context.IP()), Hex(c.context.SP())
	}
	return out
}

// finish sets verdict and error.
func (r *Report) finish(err error) {
	r.Verdict = verdict(r.Findings)
	if err == nil {
		return
	}
	r.Error = ReportError(err)
	var format *physmem.FormatError
	switch {
	case errors.As(err, &format):
		r.Verdict = "FAIL"
	case r.Guest == nil && r.Verdict == "OK":
		r.Verdict = "UNKNOWN" // the guest was not reached
	}
}

// Hint is what the reader of err can do about it, empty when nothing is known.
func Hint(err error) string {
	var refused *RefusedError
	var usage *UsageError
	switch {
	case errors.As(err, &refused):
		return refused.Finding.Advice
	case errors.As(err, &usage):
		return usage.Hint
	default:
		return ""
	}
}
