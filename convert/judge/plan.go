package judge

import (
	"context"
	"errors"

	"windmp/convert/dump"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/physmem"
	"windmp/physmem/open"
)

// Plan judges the dump that a plan makes, before it is written: its header, its
// edits and its memory are looked at as the file that they will be. The plan must
// have come to its end, and be of a dump. The verdict is never nil; the errors are
// those of [Dump].
func Plan(ctx context.Context, p *plan.Plan, machines ...*machine.Machine) (v *Verdict, err error) {
	view, err := dump.NewView(p.Layout(), p.Memory())
	if err != nil {
		return &Verdict{}, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	return Dump(ctx, physmem.NewSource("", view, view.Size()), Options{
		Input: open.Options{Format: physmem.FormatDMP}, Machines: machines,
	})
}
