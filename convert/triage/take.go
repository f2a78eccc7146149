package triage

import "windmp/vtop"

// maxPiece bounds what is kept of one thing, bytes: the exception directory of the
// kernel has some 600 KiB.
const maxPiece = 4 << 20

// tally counts what was to be kept of a kind.
type tally struct {
	pieces, left int
	bytes        uint64 // in the dump
	noRoom       uint64 // did not fit
	absent       uint64 // not in memory
}

// take keeps a range of memory, as far as it is not held yet, is in memory, and fits.
// A range that does not fit is left out as a whole. It returns what is new: nothing once
// ctx has ended.
func (p *planner) take(kind Kind, va vtop.VA, size uint64) []piece {
	size = p.view.clip(va, min(size, maxPiece))
	if p.ctx.Err() != nil || size == 0 || p.view.mayHold(va) == nil {
		return nil
	}
	if !p.view.kernel.IsKernel(va) {
		kind = UserMemory
	}
	lacking := p.held.lacking(va, size)
	if len(lacking) == 0 {
		return nil
	}
	t := p.tally(kind)
	var want int64
	for i := range lacking {
		want += int64(lacking[i].size) //nolint:gosec // at most maxPiece
	}
	if want > p.room() {
		t.left++
		t.noRoom += uint64(want)
		return nil
	}
	var list []piece
	var absent uint64
	for i := range lacking {
		found, lost := p.view.read(lacking[i].va, lacking[i].size)
		list = append(list, found...)
		absent += lost
	}
	t.absent += absent
	if len(list) == 0 {
		t.left++
		return nil
	}
	if p.held.cost(list, p.entry) > p.room() {
		t.left++
		t.noRoom += uint64(want) - absent
		return nil
	}
	t.pieces++
	for _, e := range list {
		t.bytes += e.size
		p.held.add(e)
	}
	return list
}
