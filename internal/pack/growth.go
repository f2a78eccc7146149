package pack

import (
	"math"
	"sync"
)

// forever is more than any file has, in bytes.
const forever = math.MaxInt64

// A growth is how far a file has come that somebody writes, in order, and others read.
// The writer never waits for them.
type growth struct {
	mu    sync.Mutex
	more  *sync.Cond
	size  int64 // bytes that can be read
	ended bool
	err   error // why it ended early
	short bool  // somebody wanted more than there is for that
}

func newGrowth() *growth {
	g := new(growth)
	g.more = sync.NewCond(&g.mu)
	return g
}

// to says that the file has come so far.
func (g *growth) to(size int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.size = size
	g.more.Broadcast()
}

// end says that no more comes, and why that is too early.
func (g *growth) end(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended, g.err = true, err
	g.more.Broadcast()
}

// reach waits for n bytes, and says how many there are; where they do not come, why.
func (g *growth) reach(n int64) (size int64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.size < n && !g.ended {
		g.more.Wait()
	}
	if g.size < n {
		g.short = g.short || g.err != nil
		err = g.err
	}
	return g.size, err
}

// wait waits for the end.
func (g *growth) wait() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.ended {
		g.more.Wait()
	}
	return g.err
}

// missed reports whether somebody wanted more than there is because it ended early.
func (g *growth) missed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.short
}
