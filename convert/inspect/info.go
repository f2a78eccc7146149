package inspect

import (
	"cmp"
	"context"
	"errors"
	"time"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stack"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
)

// InfoOptions choose the longer lists.
type InfoOptions struct {
	Modules, Processes bool
	// Source and Guest say what the file itself does not.
	Source source.Options
	Guest  guest.Options
}

// MaxListed bounds the ranges of memory that a report lists; it counts them all.
const MaxListed = 4096

// InfoReport says what a source is. Each part stands alone: one that could not
// be read is absent, and a finding says why.
type InfoReport struct {
	Input  report.Input           `json:"input"`
	Error  *report.Error          `json:"error,omitempty"`
	Dump   *DumpReport            `json:"dump,omitempty"`
	System *report.System         `json:"system,omitempty"`
	Bug    *report.BugCheckDetail `json:"bug_check,omitempty"`
	// Signature is the same for equal crashes. Stack has the frames of what crashed, or of
	// the processor that is shown first.
	Signature *report.Signature `json:"signature,omitempty"`
	Stack     *report.Stack     `json:"stack,omitempty"`
	Kernel    *ImageReport      `json:"kernel,omitempty"`
	CPUs      []CPUInfo         `json:"processors"`
	Memory    MemoryMap         `json:"memory"`
	// Triage is what a triage dump has beside that, absent of all other files.
	Triage *TriageReport `json:"triage,omitempty"`
	// ModuleCount counts the loaded images; Modules lists them when asked for.
	ModuleCount int               `json:"module_count"`
	Modules     []ImageReport     `json:"modules,omitempty"`
	Processes   []ProcessInfo     `json:"processes,omitempty"`
	Unloaded    []Unloaded        `json:"unloaded_drivers"`
	Findings    []finding.Finding `json:"findings"`

	found finding.List // by the description itself
}

// DumpReport is what the header of a Windows dump says of the file.
type DumpReport struct {
	Type string `json:"type"`
	// RequiredSpace is the file's size as the header states it, bytes.
	RequiredSpace uint64 `json:"required_space"`
	// Comment is text from the guest.
	Comment string `json:"comment,omitempty"`
}

// ImageReport identifies a loaded image.
type ImageReport struct {
	// Name is the file's, as the guest has it.
	Name string     `json:"name"`
	Base report.Hex `json:"base"`
	// Size is SizeOfImage in bytes.
	Size uint32 `json:"size"`
	// Timestamp is TimeDateStamp, a hash in reproducible builds; 0 when the
	// image's headers are not readable.
	Timestamp   report.Hex `json:"timestamp"`
	FileVersion string     `json:"file_version,omitempty"`
	PDB         *PDBReport `json:"pdb,omitempty"`
	// Error says why the identity is incomplete, in words; Detail is what the reader said.
	Error  string `json:"error,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// PDBReport identifies an image's symbols.
type PDBReport struct {
	Name string `json:"name"`
	// GUID is 32 upper-case hex digits.
	GUID string `json:"guid"`
	Age  uint32 `json:"age"`
}

// CPUInfo is a processor's state.
type CPUInfo struct {
	Index int        `json:"index"`
	IP    report.Hex `json:"rip"`
	SP    report.Hex `json:"rsp"`
	Root  report.Hex `json:"cr3"`
	// Mode is kernel or user, by the code segment.
	Mode string `json:"mode,omitempty"`
	// Symbol names the instruction pointer by the image that it lies in, as debuggers do:
	// without .sys, .dll or .exe.
	Symbol string `json:"symbol,omitempty"`
	// Source says whose registers these are: vcpu, saved, foreign (those that memory
	// holds, where a vCPU was stopped outside of this Windows) or none.
	Source report.ContextSource `json:"source"`
	Error  string               `json:"error,omitempty"`
}

// MemoryMap is the guest-physical memory that the file holds.
type MemoryMap struct {
	// Held counts bytes, Count the ranges; at most MaxListed are in Ranges.
	Held   uint64         `json:"held"`
	Count  int            `json:"range_count"`
	Ranges []report.Range `json:"ranges"`
	// Listed is what the guest's header lists, Missing what of it the file lacks,
	// bytes.
	Listed  uint64 `json:"listed"`
	Missing uint64 `json:"missing"`
	// ListedRanges are what the header of a dump lists of which there is nothing
	// else.
	ListedRanges []report.Range `json:"listed_ranges,omitempty"`
	// Picture draws what the guest's table lists, what the file holds, and, where there is
	// a plan, what the dump does, in this order; nil without memory. It is no part of
	// the document.
	Picture *report.Picture `json:"-"`
}

// ProcessInfo is a process.
type ProcessInfo struct {
	PID       uint64     `json:"pid"`
	ParentPID uint64     `json:"parent_pid"`
	Name      string     `json:"name"`
	Root      report.Hex `json:"cr3"`
	EPROCESS  report.Hex `json:"eprocess"`
	PEB       report.Hex `json:"peb"`
	Error     string     `json:"error,omitempty"`
}

// Unloaded is a driver that is no longer loaded.
type Unloaded struct {
	Name  string     `json:"name"`
	Start report.Hex `json:"start"`
	End   report.Hex `json:"end"`
	// Time is RFC 3339, UTC.
	Time string `json:"time,omitempty"`
}

// Validate returns a [*stage.UsageError] if the options make no sense for any file.
func (o *InfoOptions) Validate() error { return cmp.Or(o.Source.Validate(), o.Guest.Validate()) }

// Info describes a file. The report is never nil: after an error it holds what was
// found before it. Errors to expect are a [*stage.UsageError], and in a
// [*stage.Error] those of package physmem/open, a [*finding.RefusedError], and what the system
// says of a file.
func Info(ctx context.Context, in source.Input, opt InfoOptions) (*InfoReport, error) {
	r := newInfo(report.Input{Path: in.Path()})
	err := opt.Validate()
	if err == nil {
		err = look(ctx, in, counted(opt.Source, &r.Input), opt.Guest, func(f *found) { r.describe(f, opt) })
	}
	if cutShort(err) {
		r = newInfo(opened(r.Input))
	}
	err = r.describeHeaderOnly(in, machine.OrAll(opt.Guest.Machines), err)
	r.Error = report.OfError(err)
	return r, err
}

// newInfo is a report in which nothing is said yet.
func newInfo(in report.Input) *InfoReport {
	return &InfoReport{Input: in, CPUs: []CPUInfo{}, Unloaded: []Unloaded{}, Findings: []finding.Finding{}, Memory: MemoryMap{Ranges: []report.Range{}}}
}

func (r *InfoReport) describe(f *found, opt InfoOptions) {
	r.Input = f.input
	g := guest.Behind(f.guest)
	r.System, r.Bug = identity.System(g), identity.BugCheck(g)
	r.Memory = memoryMap(g)
	r.Triage = triageReport(f.triage)
	if g.Header() != nil && g.Origin().Dump {
		r.Dump = dumpReport(g.Header())
	}
	switch modules := g.Modules(); {
	case f.triage != nil && len(modules) > 0:
		k := moduleReport(g, &modules[0])
		r.Kernel = &k
	case g.Kernel() != nil:
		k := imageReport(g, "", vtop.VA(g.Kernel().Data.KernBase), 0)
		r.Kernel = &k
	case len(modules) > 0:
		k := moduleReport(g, &modules[0])
		r.Kernel = &k
	}
	r.describeModules(g, opt)
	if g.Kernel() != nil || f.triage != nil {
		r.describeLists(g, opt)
	}
	r.CPUs = append(r.CPUs, cpuInfo(g)...)
	if c := newCrash(g); c != nil {
		r.Signature, r.Stack = c.signature, c.walker.Report(c.main)
	}
	r.Findings, r.Signature = certain(f.guest, append(append(r.Findings, f.findings...), r.found.All...), r.Signature)
}

func (r *InfoReport) describeModules(g *guest.Guest, opt InfoOptions) {
	modules := g.Modules() // a copy, which a hostile list makes long
	r.ModuleCount = len(modules)
	if len(modules) > 0 {
		r.Kernel.Name = modules[0].Name
	}
	if opt.Modules {
		for i := range modules {
			r.Modules = append(r.Modules, moduleReport(g, &modules[i]))
		}
	}
}

// describeLists reads what hangs off KDBG beside processors and modules.
func (r *InfoReport) describeLists(g *guest.Guest, opt InfoOptions) {
	if opt.Processes && g.Kernel() != nil && g.Image() != nil {
		r.Processes = r.processes(g)
	}
	drivers, err := guest.UnloadedDrivers(g)
	if err != nil {
		r.found.Add(finding.ListUnread.At("VA "+vtop.VA(g.Kernel().Data.MmUnloadedDrivers).String(), "the unloaded drivers are not readable").Because(err))
	}
	for _, d := range drivers {
		u := Unloaded{Name: d.Name, Start: report.Hex(d.Start), End: report.Hex(d.End)}
		if t, err := winhdr.Time(d.Time); err == nil {
			u.Time = t.Format(time.RFC3339)
		}
		r.Unloaded = append(r.Unloaded, u)
	}
}

func (r *InfoReport) processes(g *guest.Guest) []ProcessInfo {
	list, err := g.Kernel().Processes()
	if err != nil {
		r.found.Add(finding.ProcessList.WithAdvice("").At("VA "+vtop.VA(g.Kernel().Data.PsActiveProcessHead).String(),
			"the list of processes breaks off after %d", len(list)).Because(err))
	}
	out := make([]ProcessInfo, 0, len(list))
	for _, p := range list {
		info := ProcessInfo{PID: p.PID, ParentPID: p.ParentPID, Name: p.Name, Root: report.Hex(p.DirectoryTable), EPROCESS: report.Hex(p.EPROCESS), PEB: report.Hex(p.Peb)}
		if p.Err != nil {
			info.Error = p.Err.Error()
		}
		out = append(out, info)
	}
	return out
}

// imageReport reads the identity of an image; name and size are the loader's,
// for where its headers are not readable.
func imageReport(g *guest.Guest, name string, base vtop.VA, size uint32) ImageReport {
	r := ImageReport{Name: name, Base: report.Hex(base), Size: size}
	im, err := g.Memory().ReadImage(base)
	if err != nil {
		r.lack("its headers are", err)
		return r
	}
	r.Size, r.Timestamp, r.FileVersion = im.Size, report.Hex(im.Timestamp), im.FileVersion
	if im.PDB == nil {
		r.lack("its debug record is", im.PDBErr)
		return r
	}
	r.PDB = &PDBReport{Name: im.PDB.Name, GUID: im.PDB.GUID, Age: im.PDB.Age}
	return r
}

func moduleReport(g *guest.Guest, m *kdbg.Module) ImageReport {
	r := imageReport(g, m.Name, m.Base, m.Size)
	if r.Timestamp == 0 {
		r.Timestamp = report.Hex(m.Timestamp)
	}
	if m.NameErr != nil && r.Error == "" {
		r.lack("its name is", m.NameErr)
	}
	return r
}

// memoryMap lists what the file holds.
func memoryMap(g *guest.Guest) MemoryMap {
	m := MemoryMap{Ranges: []report.Range{}}
	if g.Image() == nil {
		return m
	}
	ranges := g.Image().Ranges()
	m.Count = len(ranges)
	for i, x := range ranges {
		m.Held += x.Size
		if i < MaxListed {
			m.Ranges = append(m.Ranges, report.Range{PA: report.Hex(x.Start), Size: x.Size})
		}
	}
	m.Listed = g.Runs().Pages() * physmem.PageSize
	m.Missing = physmem.TotalSize(g.Image().MissingOf(g.Runs()))
	m.Picture = picture(g, nil)
	return m
}

// cpuInfo shows each processor as a conversion would; without processors, the
// vCPUs as they are.
func cpuInfo(g *guest.Guest) []CPUInfo {
	var list []CPUInfo
	modules := g.Modules()
	if len(g.Processors()) == 0 {
		for i, c := range g.VCPUs() {
			if c.Context == nil { // registers that the machine can't read
				continue
			}
			list = append(list, CPUInfo{
				Index: i, IP: report.Hex(c.Context.IP()), SP: report.Hex(c.Context.SP()), Root: report.Hex(c.Root),
				Mode: c.Context.Mode(), Source: report.FromVCPU, Symbol: stack.InModule(modules, vtop.VA(c.Context.IP())),
			})
		}
		return list
	}
	for _, c := range plan.Contexts(g, plan.ContextsAuto) {
		if errors.Is(c.Processor.Err, guest.ErrNotHeld) {
			continue
		}
		info := CPUInfo{Index: c.Index, Source: c.Source}
		if c.Context == nil {
			info.Error = c.Note
			list = append(list, info)
			continue
		}
		info.IP, info.SP, info.Mode = report.Hex(c.Context.IP()), report.Hex(c.Context.SP()), c.Context.Mode()
		info.Symbol = stack.InModule(modules, vtop.VA(c.Context.IP()))
		info.Root = report.Hex(c.Root)
		list = append(list, info)
	}
	return list
}
