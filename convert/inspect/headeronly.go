package inspect

import (
	"errors"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/machine"
	"windmp/convert/source"
	"windmp/physmem"
	"windmp/winhdr"
)

// describeHeaderOnly serves a Windows dump that holds no memory that is read here,
// such as a triage dump: what its header says is reported, and err is settled.
// Other errors are returned as they are.
func (r *InfoReport) describeHeaderOnly(in source.Input, machines []*machine.Machine, err error) error {
	var unsupported *physmem.UnsupportedError
	if !errors.As(err, &unsupported) {
		return err
	}
	h, badHeader := winhdr.Decode(unsupported.DumpHeader, machine.Formats(machines)...)
	if badHeader != nil || h.MachineImageType != h.Format().Machine {
		return err // no dump, or one cut off in its header
	}
	g := guest.OfHeader(h, machines...)
	r.Input.Size = in.Size()
	r.Input.Format, r.Input.Description = string(unsupported.Format), unsupported.What
	r.Dump = dumpReport(h)
	r.System, r.Bug = systemOf(g), bugCheckOf(g)
	r.Findings = append(r.Findings, finding.HeaderOnly.WithAdvice(unsupported.Hint).At("", "only the header is read: the file is %s", unsupported.What))
	return nil
}

// dumpReport is what a header says of its file.
func dumpReport(h *winhdr.Header) *DumpReport {
	return &DumpReport{Type: h.DumpType.String(), RequiredSpace: h.RequiredDumpSpace, Comment: h.CommentText()}
}
