package judge

import (
	"context"
	"errors"
	"slices"

	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/physmem"
	"windmp/physmem/open"
)

// Plan judges the dump that a plan makes, before it is written: its header, its
// edits and its memory are looked at as the file that they will be. The plan must
// have come to its end, and be of a dump. The verdict is never nil; the errors are
// those of [Dump].
func Plan(ctx context.Context, p *plan.Plan) (v *Verdict, err error) {
	view, err := dump.NewView(p.Layout(), p.Memory())
	if err != nil {
		return &Verdict{}, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	// Of the guest's machine: the header of another may be longer, and reach into memory that
	// can't be read.
	return Dump(ctx, physmem.NewSource("", view, view.Size()), Options{
		Input: open.Options{Format: physmem.FormatDMP}, Machines: []*machine.Machine{p.Guest().Machine()},
	})
}

// Warnings are the findings of the verdict that are worse than information and are not
// among those that were said already, each once.
func (v *Verdict) Warnings(said []finding.Finding) []finding.Finding {
	var more []finding.Finding
	for _, f := range v.Findings {
		same := func(x finding.Finding) bool { return x.ID == f.ID && x.Where == f.Where }
		if f.Severity.Rank() > finding.SeverityInfo.Rank() && !slices.ContainsFunc(said, same) && !slices.ContainsFunc(more, same) {
			more = append(more, f)
		}
	}
	return more
}
