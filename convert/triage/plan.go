package triage

import (
	"context"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/winhdr/triagefile"
)

// plan collects tier 0, and then what there is room for, tier by tier.
func (p *planner) plan() (*Dump, error) {
	d := &Dump{}
	if err := p.readParts(); err != nil {
		return d, err
	}
	limit := p.opt.Size
	if limit == 0 {
		limit = DefaultSize
	}
	p.limit = MaxSize // of tier 0, which goes in or the dump is none
	p.fixed = p.sizeOf(p.records(nil, nil))
	p.entry = int(p.sizeOf(p.records(make([]triagefile.Block, 1), nil)) - p.fixed)
	p.holdParts()
	floor := p.size()
	if floor > limit {
		return d, p.Refuse(finding.TriageFloor.At("", "a small dump of this guest has at least %d bytes, asked for were %d", floor, limit), nil)
	}
	p.limit = limit
	d.Report = &report.Triage{Limit: limit, Floor: floor, Process: p.kept}
	room := p.reserve(d.Report)
	for i := range tiers {
		if tiers[i].collect(p); p.ctx.Err() != nil {
			return d, context.Cause(p.ctx)
		}
	}
	return d, p.finish(d, room)
}

// size is how many bytes the dump has: it goes on at a multiple of 4 behind the blocks.
func (p *planner) size() int64 {
	const align = 4
	return p.fixed + (p.held.bytes+align-1)/align*align + int64(p.held.blocks)*int64(p.entry)
}

// room is how many bytes there are left.
func (p *planner) room() int64 { return p.limit - p.size() }

// tally counts a kind.
func (p *planner) tally(k Kind) *tally {
	t := p.tallies[k]
	if t == nil {
		t = &tally{}
		p.tallies[k] = t
	}
	return t
}
