package inspect

import (
	"cmp"
	"errors"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/physmem"
	"windmp/winhdr"
)

// describeHeaderOnly serves a Windows dump of which only the header is read: one that
// holds no memory that is read here, such as a triage dump, and one that is cut. What
// the header says is reported. That settles err for the former; other errors are
// returned as they are.
func (r *InfoReport) describeHeaderOnly(in source.Input, machines []*machine.Machine, err error) error {
	g := headerOnly(err, machines)
	if g == nil {
		return err
	}
	h := g.Header()
	r.Input.Size, r.Input.Format = cmp.Or(in.Size(), r.Input.Size), string(physmem.FormatDMP)
	r.Dump = dumpReport(h)
	r.System, r.Bug = identity.System(g), identity.BugCheck(g)
	var unsupported *physmem.UnsupportedError
	if errors.As(err, &unsupported) {
		r.Input.Description = unsupported.What
		r.Findings = append(r.Findings, finding.HeaderOnly.WithAdvice(unsupported.Hint).At("", "only the header is read: the file is %s", unsupported.What))
		return nil
	}
	r.Input.Description = "a Windows crash dump without memory"
	r.Findings = append(r.Findings, finding.HeaderOnly.At("", "only the header is read: the file holds nothing else that can be"))
	r.Memory.listed(h)
	return err
}

// headerOnly is what the header says that an error of opening carries; nil if it has
// none that makes sense.
func headerOnly(err error, machines []*machine.Machine) *guest.Guest {
	var raw []byte
	var unsupported *physmem.UnsupportedError
	var format *physmem.FormatError
	switch {
	case errors.As(err, &unsupported):
		raw = unsupported.DumpHeader
	case errors.As(err, &format):
		raw = format.DumpHeader
	}
	h, err := winhdr.Decode(raw, machine.Formats(machines)...)
	if err != nil || h.MachineImageType != h.Format().Machine {
		return nil // no dump, or one cut off in its header
	}
	return guest.OfHeader(h, machines...)
}

// listed takes the run table of a header whose memory is not there.
func (m *MemoryMap) listed(h *winhdr.Header) {
	if h.DumpType.ListsPages() {
		return
	}
	runs, _ := h.Runs()
	for _, run := range runs {
		x := run.Range()
		m.Listed += x.Size
		m.ListedRanges = append(m.ListedRanges, report.Range{PA: report.Hex(x.Start), Size: x.Size})
	}
	m.Missing = m.Listed
}

// dumpReport is what a header says of its file.
func dumpReport(h *winhdr.Header) *DumpReport {
	return &DumpReport{Type: h.DumpType.String(), RequiredSpace: h.RequiredDumpSpace, Comment: h.CommentText()}
}
