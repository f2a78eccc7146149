package pack

import "sync"

// frameCache keeps the frames that were read last, a bounded number of them, and has
// each unpacked once for all who wait for it.
type frameCache struct {
	most   int // frames
	unpack func(id int64, into []byte) ([]byte, error)

	mu    sync.Mutex
	freed *sync.Cond // a frame lost its last user
	slots map[int64]*slot
	clock uint64 // counts uses
}

// A slot holds one frame.
type slot struct {
	users int
	used  uint64 // the clock of the last use
	// ready is closed when data or err is there.
	ready chan struct{}
	data  []byte
	err   error
}

func newFrameCache(most int, unpack func(id int64, into []byte) ([]byte, error)) *frameCache {
	c := &frameCache{most: most, unpack: unpack, slots: make(map[int64]*slot, most)}
	c.freed = sync.NewCond(&c.mu)
	return c
}

// use calls f with a frame, which is f's to read until it returns. It waits while all
// slots are in use.
func (c *frameCache) use(id int64, f func(data []byte)) error {
	s, mine := c.take(id, true)
	return c.finish(id, s, mine, f)
}

// fetch has a frame unpacked if it is not there, unless all slots are in use.
func (c *frameCache) fetch(id int64) {
	if s, mine := c.take(id, false); s != nil {
		_ = c.finish(id, s, mine, func([]byte) {}) // whoever reads it, learns of it
	}
}

// take finds the slot of a frame, or makes one, which the caller is to fill: then mine
// is set. Without wait it is nil if there is no room.
func (c *frameCache) take(id int64, wait bool) (s *slot, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		s, mine = c.slots[id], false
		if s == nil {
			s, mine = c.room(), true
		}
		if s != nil {
			break
		}
		if !wait {
			return nil, false
		}
		c.freed.Wait()
	}
	if mine {
		s.ready = make(chan struct{})
		c.slots[id] = s
	}
	c.clock++
	s.users, s.used = s.users+1, c.clock
	return s, mine
}

// room is a slot for another frame: a new one, or that of the frame that nobody uses
// and nobody has used for longest; nil if there is none.
func (c *frameCache) room() *slot {
	if len(c.slots) < c.most {
		return &slot{}
	}
	var oldest *slot
	var at int64
	for id, s := range c.slots {
		if s.users == 0 && (oldest == nil || s.used < oldest.used) {
			oldest, at = s, id
		}
	}
	if oldest == nil {
		return nil
	}
	delete(c.slots, at)
	return &slot{data: oldest.data[:0]}
}

// finish fills a slot that is the caller's to fill, calls f when it is filled, and
// gives it back. A frame that could not be unpacked is not kept.
func (c *frameCache) finish(id int64, s *slot, mine bool, f func(data []byte)) error {
	if mine {
		s.data, s.err = c.unpack(id, s.data)
		close(s.ready)
	}
	<-s.ready
	err := s.err
	if err == nil {
		f(s.data)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.users--
	if err != nil && c.slots[id] == s {
		delete(c.slots, id)
	}
	c.freed.Broadcast()
	return err
}

// has reports whether a frame is there, or about to be.
func (c *frameCache) has(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slots[id] != nil
}
