package triage

import (
	"bytes"
	"math"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/internal/binio"
	"windmp/winhdr"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/triagefile"
)

// records are the dump with so many blocks, and a document in it.
func (p *planner) records(blocks []triagefile.Block, document []byte) *triagefile.Contents {
	t := &triagefile.Contents{
		TriageOptions: triagefile.OptionsAll,
		TopOfStack:    uint64(p.parts.stack.va),
		MM:            p.numbers(),
		Unloaded:      p.parts.unloaded,
		Drivers:       p.parts.drivers,
		Prcb:          p.parts.prcb.data, Process: p.parts.process.data, Thread: p.parts.thread.data,
		Stack: p.parts.stack.data, DebuggerData: p.view.kernel.Raw,
		Blocks:         blocks,
		SecondaryBuild: p.Header.MinorVersion,
	}
	if document != nil {
		t.Secondary = []triagefile.Blob{{Tag: report.InsideTag, Data: document}}
	}
	return t
}

// reserve keeps room for the report that travels inside, as long as it can become, and
// returns it; 0 where there is none.
func (p *planner) reserve(r *report.Triage) int {
	if p.opt.Report == nil {
		return 0
	}
	longest := *r
	for _, k := range kinds {
		longest.Contents = append(longest.Contents, report.TriagePart{
			Kind: string(k.kind), What: k.what, Tier: k.tier,
			Pieces: math.MaxInt32, Bytes: math.MaxInt32, LeftOut: math.MaxInt32, NoRoom: math.MaxInt32, NotInMemory: math.MaxInt32,
		})
	}
	room := len(p.opt.Report(&longest, p.All, MaxSize))
	with := p.sizeOf(p.records(nil, make([]byte, room)))
	if with-p.fixed > p.room() {
		p.tally(Report).left++
		p.tally(Report).noRoom += uint64(room)
		p.Add(finding.TriageNoRoom.At("", "the report of %d bytes does not fit into the dump", room))
		return 0
	}
	p.fixed = with
	return room
}

// countParts counts what has a place of its own.
func (p *planner) countParts(document int) {
	whole := p.records(nil, nil)
	less := func(without func(*triagefile.Contents)) uint64 {
		t := *whole
		without(&t)
		return uint64(p.sizeOf(whole) - p.sizeOf(&t)) //nolint:gosec // not negative
	}
	for kind, n := range map[Kind]uint64{
		Processor: uint64(len(whole.Prcb)), Process: uint64(len(whole.Process)), Thread: uint64(len(whole.Thread)),
		Stack: uint64(len(whole.Stack)), DebuggerData: uint64(len(whole.DebuggerData)), Report: uint64(document), //nolint:gosec // not negative
		Drivers:  less(func(t *triagefile.Contents) { t.Drivers = nil }),
		Unloaded: less(func(t *triagefile.Contents) { t.Unloaded = nil }),
	} {
		if n > 0 {
			t := p.tally(kind)
			t.pieces++
			t.bytes += n
		}
	}
}

// contents is what went in, by kind. What is not counted elsewhere is the headers'.
func (p *planner) contents() []report.TriagePart {
	list := make([]report.TriagePart, 0, len(kinds))
	rest := uint64(p.size()) //nolint:gosec // not negative
	for _, k := range kinds {
		t := p.tally(k.kind)
		rest -= t.bytes
		if *t == (tally{}) && k.kind != Headers {
			continue
		}
		list = append(list, report.TriagePart{
			Kind: string(k.kind), What: k.what, Tier: k.tier, Pieces: t.pieces, Bytes: t.bytes,
			LeftOut: t.left, NoRoom: t.noRoom, NotInMemory: t.absent,
		})
	}
	list[0].Pieces, list[0].Bytes = 1, rest
	return list
}

// sizeOf is the size of a dump in bytes.
func (p *planner) sizeOf(t *triagefile.Contents) int64 {
	return int64(t.Size(p.Header.Format())) //nolint:gosec // what is in memory
}

// finish makes the dump.
func (p *planner) finish(d *Dump, room int) error {
	p.countParts(room)
	d.Report.Contents = p.contents()
	var document []byte
	if room > 0 {
		// Of the length that was kept, so that the size of the dump, which it states, is that.
		document = bytes.Repeat([]byte{' '}, room)
		copy(document, p.opt.Report(d.Report, p.All, p.size()))
	}
	p.sayLeftOut()
	d.Header = p.Header.Clone()
	if p.exception != nil {
		d.Header.BugCheckCode |= bugcheck.Miniature
	}
	if err := d.Header.Show(p.context().ForHeader(), p.Flags); err != nil {
		return err
	}
	d.Header.DumpType = winhdr.DumpTypeTriage
	pieces, err := p.records(p.held.dataBlocks(), document).Pieces(d.Header)
	d.Pieces = pieces
	return err
}

// sayLeftOut says for what there was no room.
func (p *planner) sayLeftOut() {
	var bytes uint64
	var what []string
	for _, k := range kinds {
		if t := p.tally(k.kind); t.noRoom > 0 {
			bytes += t.noRoom
			what = append(what, k.what)
		}
	}
	if bytes > 0 {
		p.Add(finding.TriageContents.At("", "there was no room for %s: %s", binio.Bytes(bytes), strings.Join(what, "; ")))
	}
}
