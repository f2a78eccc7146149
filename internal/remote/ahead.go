package remote

import (
	"iter"
	"sync"

	"windmp/physmem"
)

const (
	// leastRun is what must have been read in order before anything is fetched ahead,
	// in blocks: 1 MiB. Who looks here and there causes no transfer that nobody reads.
	leastRun = 64
	// mostAhead is the most that is fetched ahead, in blocks: 16 MiB, twice what is on its
	// way at the same time, and half of the cache at most.
	mostAhead = 1024
	// keptBehind is what is kept of what was announced and read, in blocks: 4 MiB. It is
	// read once, but for blocks that two reads share.
	keptBehind = 256
	// disorder is how far several readers of one stretch may be apart, in blocks: 4 MiB.
	disorder = 256
	// runs is how many stretches are followed at the same time.
	runs = 8
	// aheadConnections is how many requests are made ahead at the same time.
	aheadConnections = 8
)

// ahead knows what was read in order.
type ahead struct {
	mu   sync.Mutex
	runs [runs]run
	used int // which run was begun last
	// announced is set where it is known what will be read: nothing is guessed then.
	announced bool
	once      sync.Once
	free      chan struct{} // one entry a connection
}

// A run is a stretch that is read in order; in blocks.
type run struct {
	next    int64 // behind what was read
	length  int64 // of what was read
	fetched int64 // up to where it is fetched ahead
}

// continues reports whether a read of [first, end) belongs to the run.
func (r *run) continues(first, end int64) bool {
	return r.length > 0 && first <= r.next+disorder && end >= r.next-disorder
}

// note takes a read of [first, end) into account, and returns the run that it belongs to.
func (a *ahead) note(first, end int64) *run {
	for i := range a.runs {
		r := &a.runs[i]
		if !r.continues(first, end) {
			continue
		}
		if end > r.next {
			r.length += end - max(first, r.next)
			r.next = end
		}
		return r
	}
	a.used = (a.used + 1) % runs
	a.runs[a.used] = run{next: end, length: end - first}
	return &a.runs[a.used]
}

// mostAhead is how many blocks may be fetched ahead.
func (s *Source) mostAhead() int { return min(mostAhead, max(1, s.cache.limit/2)) }

// readAhead fetches what follows a read of the blocks [first, end), if there was enough
// of the like before: as much as that, so that what nobody reads in the end is never
// more than what was read.
func (s *Source) readAhead(first, end int64) {
	s.ahead.mu.Lock()
	defer s.ahead.mu.Unlock()
	if s.ahead.announced {
		return
	}
	r := s.ahead.note(first, end)
	if r.length < leastRun {
		return
	}
	free, _ := s.cache.free(s.mostAhead())
	from := max(r.next, r.fetched)
	to := min(r.next+min(r.length, int64(s.mostAhead())), s.blocks(), from+int64(max(free, 0)))
	if to-from < requestBlocks && to < s.blocks() {
		return // until it is worth a request
	}
	if to > from {
		r.fetched = to
		s.fetchAhead(from, to)
	}
}

// blocks is how many the file has.
func (s *Source) blocks() int64 { return (s.object.size + blockSize - 1) / blockSize }

// fetchAhead fetches the blocks [from, to) as far as nobody does.
func (s *Source) fetchAhead(from, to int64) {
	for _, r := range requests(s.cache.takeAhead(from, to)) {
		s.running.Go(func() {
			free := s.connections()
			select {
			case free <- struct{}{}:
				defer func() { <-free }()
			case <-s.ctx.Done():
			}
			s.fill(r)
		})
	}
}

// connections has room for those that fetch ahead.
func (s *Source) connections() chan struct{} {
	s.ahead.once.Do(func() { s.ahead.free = make(chan struct{}, aheadConnections) })
	return s.ahead.free
}

// Announce implements [physmem.Announcer]: it fetches exactly what is announced ahead of
// the reads, as far as there is room. The list is gone through while the source is read.
func (s *Source) Announce(list iter.Seq[physmem.Stretch]) {
	s.ahead.mu.Lock()
	s.ahead.announced = true
	s.ahead.mu.Unlock()
	s.cache.readOnce(keptBehind)
	s.running.Go(func() {
		from, to := int64(0), int64(0)
		for x := range list {
			first, end := x.Offset/blockSize, min((x.Offset+x.Size+blockSize-1)/blockSize, s.blocks())
			switch {
			case first >= from && first <= to:
				to = max(to, end)
			default:
				if s.announced(&from, to, true) != nil {
					return
				}
				from, to = first, end
			}
			if s.announced(&from, to, false) != nil {
				return
			}
		}
		_ = s.announced(&from, to, true) // who reads finds out
	})
}

// announced fetches the blocks from *from to to, in whole requests but for the end of
// what follows each other, and moves *from behind them.
func (s *Source) announced(from *int64, to int64, end bool) error {
	for n := to - *from; n >= requestBlocks || end && n > 0; n = to - *from {
		n = min(n, requestBlocks)
		if err := s.cache.waitRoom(s.ctx, int(n), s.mostAhead()); err != nil {
			return err
		}
		s.fetchAhead(*from, *from+n)
		*from += n
	}
	return nil
}
