package inspect

import (
	"context"
	"iter"
	"slices"

	"windmp/convert/guest"
	"windmp/convert/judge"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/physmem"
)

// allLists are the options of who wants to know everything.
var allLists = InfoOptions{Modules: true, Processes: true}

// Describe says what [Info] does of a guest that was found, with all its lists. Where p
// is not nil, the picture of the memory shows what the dump holds too. It is nil where g is.
func Describe(path string, g *guest.Guest, p *plan.Plan) *InfoReport {
	if g == nil {
		return nil
	}
	r := newInfo(report.Input{Path: path})
	r.describe(&found{input: report.OfImage(path, g.Image()), guest: g, findings: g.Findings()}, allLists)
	if p != nil && r.Memory.Picture != nil {
		r.Memory.Picture = picture(g, p)
	}
	return r
}

// picture draws the guest's memory, and what a plan takes of it; nil where there is none.
func picture(g *guest.Guest, p *plan.Plan) *report.Picture {
	runs := g.Runs()
	listed, held := make([]physmem.Range, 0, len(runs)), g.Image().Ranges()
	for _, run := range runs {
		listed = append(listed, run.Range())
	}
	if len(listed)+len(held) == 0 {
		return nil
	}
	rows := []iter.Seq[physmem.Range]{slices.Values(listed), slices.Values(held)}
	if p != nil && p.Paged() {
		rows = append(rows, p.Ranges())
	}
	return report.Draw([][]physmem.Range{listed, held}, rows...)
}

// detail describes the guest of a file that converts.
func (c *fileChecker) detail(g *guest.Guest, p *plan.Plan) {
	if c.opt.Details {
		c.Details = Describe(c.Path, g, p)
	}
}

// detailDump describes the guest of a dump as Info sees it, whatever a debugger does:
// err is that of judging it.
func (c *fileChecker) detailDump(ctx context.Context, v *judge.Verdict, err error) {
	if !c.opt.Details || c.opt.Level == CheckHeader {
		return
	}
	r := newInfo(report.Input{Path: c.Path})
	switch {
	case v.Triage != nil:
		r.describe(ofTriage(c.Path, c.src, v), allLists)
	case v.Image != nil:
		g, _ := guest.Find(ctx, v.Image, c.guest) // the findings say what is wrong
		r = Describe(c.Path, g, nil)
	default:
		_ = r.describeHeaderOnly(c.in, machine.OrAll(c.opt.Guest.Machines), err) // the check has it
	}
	if r.Input.Format != "" {
		c.Details = r
	}
}
