package fileset

import (
	"sync"

	"windmp/internal/lru"
)

const (
	// blockSize is how much of a file is read at once, in bytes: a page here and there
	// takes a browser as long as so much does.
	blockSize = 64 << 10
	// runBlocks is how many blocks are read at once where they are read one behind the
	// other: 1 MiB takes Chromium as long as four blocks by themselves.
	runBlocks = 16
	// keptBytes bounds what is kept of all files of a job together.
	keptBytes = 16 << 20
	// smallFile is the size up to which a file is read in such runs from the start: most
	// of it will be looked at.
	smallFile = 8 << 20
)

// place is where a block lies.
type place struct {
	of    *File
	index int64
}

// cache keeps the blocks that were used last. Its zero value has none.
type cache struct {
	mu   sync.Mutex
	kept *lru.Cache[place, []byte]
}

// read copies what a block has from an offset of a file on, which is below its size, and
// returns how much that is.
func (c *cache) read(f *File, p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = lru.New[place, []byte](keptBytes, nil)
	}
	at := place{f, off / blockSize}
	b, kept := c.kept.Get(at)
	if !kept {
		if err := c.fill(f, at.index); err != nil {
			return 0, err
		}
		b, _ = c.kept.Get(at)
	}
	return copy(p, b[off%blockSize:]), nil
}

// fill reads a block of a file, and those about it that are read with it. What could not
// be read is not kept.
func (c *cache) fill(f *File, index int64) error {
	first, end := c.run(f, index)
	run := make([][]byte, 0, end-first)
	for i := first; i < end; i++ {
		run = append(run, c.room()[:min(blockSize, f.size-i*blockSize)])
	}
	if err := f.slice(first*blockSize, run); err != nil {
		return err
	}
	for i, b := range run {
		c.kept.Put(place{f, first + int64(i)}, b, blockSize)
	}
	f.next, f.run = end, end-first
	return nil
}

// run is which blocks are read with one that is not kept: of a small file those of its MiB,
// elsewhere those behind it, twice as many each time that it follows what was read last.
// None of them is kept.
func (c *cache) run(f *File, index int64) (first, end int64) {
	first, end = index, index+1
	switch {
	case f.size <= smallFile:
		first -= index % runBlocks
		end = first + runBlocks
	case index == f.next:
		end = index + max(1, min(2*f.run, runBlocks))
	}
	end = min(end, (f.size+blockSize-1)/blockSize)
	for i := first; i < end; i++ {
		switch _, kept := c.kept.Peek(place{f, i}); {
		case kept && i < index:
			first = i + 1
		case kept:
			return first, i
		}
	}
	return first, end
}

// room is room for a block: new, or that of the block that nobody used for longest.
func (c *cache) room() []byte {
	if c.kept.Len() >= keptBytes/blockSize-runBlocks {
		for at, b := range c.kept.Oldest() {
			c.kept.Remove(at)
			return b[:blockSize]
		}
	}
	return make([]byte, blockSize)
}
