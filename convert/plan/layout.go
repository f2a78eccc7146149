package plan

import (
	"errors"
	"iter"

	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/internal/binio"
	"windmp/internal/overlay"
	"windmp/physmem"
	"windmp/winhdr"
)

// Layout is the output as bytes, memory and zeros; nil when the plan has come to no
// end.
func (p *Plan) Layout() dump.Layout { return p.layout }

// Memory is the guest's memory as the output holds it: with the edits, and with
// zeros for what is missing if so planned, and between runs that were joined. It reads the guest's image.
func (p *Plan) Memory() *overlay.Overlay {
	var below overlay.Memory = p.guest.Image()
	if zeros := p.memory.zeros(); len(zeros) > 0 {
		below = overlay.Fill(below, zeros)
	}
	edits := make([]overlay.Edit, 0, len(p.edits))
	for i := range p.edits {
		edits = append(edits, overlay.Edit{PA: p.edits[i].PA, Bytes: p.edits[i].Bytes})
	}
	return overlay.New(below, edits)
}

// Paged tells whether the output holds memory by physical address, which a small dump
// does not.
func (p *Plan) Paged() bool { return p.memory.kind != winhdr.DumpTypeTriage && p.layout != nil }

// Ranges yields the guest-physical memory that the output lists, ascending; nothing of
// one that is not [Plan.Paged].
func (p *Plan) Ranges() iter.Seq[physmem.Range] {
	return func(yield func(physmem.Range) bool) {
		if !p.Paged() {
			return
		}
		for run := range p.memory.pageRuns() {
			if !yield(run.Range()) {
				return
			}
		}
	}
}

// layOut makes the layout of a dump, with the header as it is now.
func (p *Plan) layOut() error {
	m := &p.memory
	pages, err := dump.NewPages(m.pageRuns())
	if err != nil {
		return p.refuseLayout(err)
	}
	var l dump.Layout
	if header := p.header.Encode(); m.kind == winhdr.DumpTypeFull {
		l, err = dump.NewFull(header, p.header.Format().MaxRuns(), pages)
	} else {
		l, err = dump.NewBitmap(header, m.kind, pages.Within(m.end()))
	}
	if err != nil {
		return p.refuseLayout(err)
	}
	p.layout = l
	return nil
}

// refuseLayout says why a kind of output can't hold the pages.
func (p *Plan) refuseLayout(err error) error {
	var limit *dump.LimitError
	switch isLimit := errors.As(err, &limit); {
	case isLimit && limit.Limit == dump.LimitBitmap:
		return p.found.Refuse(finding.BitmapTooLarge.At("", "the guest's memory reaches to %s, readers take bitmaps of less than %s",
			binio.Bytes(limit.Got*physmem.PageSize), binio.Bytes((limit.Most+1)*physmem.PageSize)), nil)
	case isLimit:
		return p.found.Refuse(finding.RunsDoNotFit.WithAdvice("").At("", "the guest's memory has %d %s, the dump takes at most %d", limit.Got, limit.Limit, limit.Most), err)
	default:
		return p.found.Refuse(finding.RunsDoNotFit.WithAdvice("").At("", "the guest's memory does not fit the dump").Because(err), err)
	}
}
