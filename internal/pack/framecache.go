package pack

import (
	"errors"
	"math"
	"sync"

	"windmp/internal/lru"
)

// frameCache keeps the frames that were read last, a bounded number of them, and has
// each unpacked once for all who wait for it.
type frameCache struct {
	most   int // frames
	unpack func(id int64, into []byte) ([]byte, error)

	mu    sync.Mutex
	freed *sync.Cond // a frame lost its last user
	// slots are most at the most. It has no limit in bytes, as it would give up a frame
	// that is in use.
	slots *lru.Cache[int64, *slot]
}

// A slot holds one frame.
type slot struct {
	users int
	// ready is closed when data or err is there.
	ready chan struct{}
	data  []byte
	err   error
}

func newFrameCache(most int, unpack func(id int64, into []byte) ([]byte, error)) *frameCache {
	c := &frameCache{most: most, unpack: unpack, slots: lru.New[int64, *slot](math.MaxInt64, nil)}
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
		s, _ = c.slots.Get(id)
		if mine = s == nil; mine {
			s = c.room()
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
		c.slots.Put(id, s, 0)
	}
	s.users++
	return s, mine
}

// room is a slot for another frame: a new one, or that of the frame that nobody uses
// and nobody has used for longest; nil if there is none.
func (c *frameCache) room() *slot {
	if c.slots.Len() < c.most {
		return &slot{}
	}
	for id, s := range c.slots.Oldest() {
		if s.users == 0 {
			c.slots.Remove(id)
			return &slot{data: s.data[:0]}
		}
	}
	return nil
}

// finish fills a slot that is the caller's to fill, calls f when it is filled, and
// gives it back. A frame that could not be read is not kept; that it is damaged is: what
// is looked for in memory reads it page by page.
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
	var damaged *FrameError
	if kept, _ := c.slots.Peek(id); err != nil && kept == s && !errors.As(err, &damaged) {
		c.slots.Remove(id)
	}
	c.freed.Broadcast()
	return err
}

// has reports whether a frame is there, or about to be.
func (c *frameCache) has(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.slots.Peek(id)
	return ok
}
