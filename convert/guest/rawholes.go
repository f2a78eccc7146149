package guest

import (
	"context"
	"errors"
	"fmt"
	"math"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/search"
	"windmp/internal/binio"
	"windmp/physmem"
)

// examineRaw examines raw memory whose holes nobody knows: as one piece, and
// where that does not lead to a guest whose own table of memory is all there,
// with the holes that this table has, and those that machines usually have. The one
// with which the least is missing is taken; after an error it is the one of the file as
// one piece.
func examineRaw(ctx context.Context, im *physmem.Image, opt Options) (*finder, error) {
	holes := knownHoles(im, &opt)
	opt.seen = search.NewSeen(im)
	for _, h := range holes {
		opt.seen.Expect(h.Range)
	}
	whole, wholeErr := examine(ctx, im, opt)
	opt.trial = true
	best, least := whole, missingOf(whole, wholeErr)
	if least == 0 {
		return whole, wholeErr
	}
	if g := byTable(ctx, im, opt, whole, wholeErr); g != nil {
		return g, nil
	}
	var taken *machine.Hole
	for _, hole := range holes {
		if ctx.Err() != nil {
			return whole, context.Cause(ctx)
		}
		view, err := im.WithHoles([]physmem.Range{hole.Range})
		if err != nil {
			return whole, err
		}
		g, err := examine(ctx, view, opt)
		if missing := missingOf(g, err); missing < least {
			best, least, taken = g, missing, &hole
		}
		if least == 0 {
			break
		}
	}
	if least > 0 {
		if g := bySearch(ctx, im, opt, best, least); g != nil {
			return g, nil
		}
	}
	if taken == nil {
		var refused *finding.RefusedError
		if errors.As(wholeErr, &refused) {
			refused.Finding.Advice += " If the file leaves out a part of physical memory, give it as a hole."
		}
		return whole, wholeErr
	}
	best.addHole(taken, best.lacking())
	return best, nil
}

// What missingOf says of a guest that was not found, and of one whose own table of
// memory can't be read: nobody knows how much is missing.
const (
	notFound = math.MaxUint64
	noTable  = notFound - 1
)

// missingOf is how many bytes of its own table of memory a guest lacks.
func missingOf(g *finder, err error) uint64 {
	if err != nil {
		return notFound
	}
	if _, err := g.kernelRuns(); err != nil {
		return noTable
	}
	return g.lacking()
}

// lacking is how many bytes of the guest's memory are not in the source, by where that has
// memory: what a disk does not give of it does not count.
func (g *finder) lacking() (n uint64) {
	laid := g.Image.Laid()
	for _, r := range g.Runs {
		n += physmem.TotalSize(physmem.Subtract(r.Range(), laid))
	}
	return n
}

// holeText says a hole below 4 GiB in people's units.
func holeText(h physmem.Range) string {
	return binio.Bytes(h.Size) + " at " + binio.Bytes(h.Start)
}

// addHole says which hole was supposed, and how sure that is.
func (g *finder) addHole(hole *machine.Hole, missing uint64) {
	kind, proof := finding.RawHole, "the guest's table of memory is all there with it"
	if missing > 0 {
		kind, proof = finding.RawHoleUnsure, fmt.Sprintf("the guest is found with it, but %s of its memory are missing", binio.Bytes(missing))
	}
	g.Add(kind.At("", "the file is taken to leave out %s, as %s do: %s", holeText(hole.Range), hole.Why, proof).Because(hole.Range))
}
