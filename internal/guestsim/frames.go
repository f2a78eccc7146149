package guestsim

import (
	"fmt"
	"math/rand/v2"
)

// frames are the pages of RAM that are free, in an order by chance: what is adjacent in
// virtual memory seldom is in physical. They are shuffled as far as they are taken, since
// a guest uses few of those that it has.
type frames struct {
	runs []Range
	left int
	// moved are pages that stand where another one was, by their place in the list.
	moved map[int]uint64
	rng   *rand.Rand
}

func newFrames(runs []Range, seed uint64) frames {
	f := frames{runs: runs, moved: map[int]uint64{}, rng: rand.New(rand.NewPCG(seed, 0x6775657374))}
	for _, r := range runs {
		f.left += int(r.Size / pageSize)
	}
	return f
}

// next takes the next page: a step of a Fisher-Yates shuffle.
func (f *frames) next() uint64 {
	if f.left == 0 {
		panic("guestsim: the guest has no free page left, give it more RAM")
	}
	return f.take(f.rng.IntN(f.left))
}

// below takes a page below an address. The list begins with them.
func (f *frames) below(limit uint64) uint64 {
	var places []int
	for i := range min(f.left, int(limit/pageSize)) {
		if f.at(i) < limit {
			places = append(places, i)
		}
	}
	if len(places) == 0 {
		panic(fmt.Sprintf("guestsim: no free page below %#x", limit))
	}
	return f.take(places[f.rng.IntN(len(places))])
}

// take takes the page at a place, where the last one comes to stand.
func (f *frames) take(i int) uint64 {
	pa := f.at(i)
	f.left--
	f.moved[i] = f.at(f.left)
	delete(f.moved, f.left)
	return pa
}

// at is the page at a place.
func (f *frames) at(i int) uint64 {
	if pa, ok := f.moved[i]; ok {
		return pa
	}
	for _, r := range f.runs {
		n := int(r.Size / pageSize)
		if i < n {
			return r.Start + uint64(i)*pageSize
		}
		i -= n
	}
	panic("guestsim: a place behind the last page")
}
