package hyperv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"windmp/internal/binio"
	"windmp/physmem"
	"windmp/physmem/extents"
)

// keptBlocks is how many unpacked blocks are kept, 16 MiB of them: a walk of page
// tables reads 8 bytes here and there, and a copy takes a block in four reads.
const keptBlocks = 16

// packed is memory in RAM blocks of which some are compressed: extents of the space of
// RAM blocks, one after the other.
type packed struct {
	space *ramSpace
	in    *extents.Memory
}

func newPacked(r physmem.Source, ram []ramBlock, list []physmem.Extent) *packed {
	return (&ramSpace{r: r, ram: ram}).memory(list)
}

func (s *ramSpace) memory(list []physmem.Extent) *packed {
	return &packed{space: s, in: extents.New(s, list)}
}

// Ranges implements [physmem.Memory].
func (p *packed) Ranges() []physmem.Range { return p.in.Ranges() }

// ReadAt implements [physmem.Memory]: it unpacks the blocks of b.
func (p *packed) ReadAt(b []byte, pa int64) (int, error) {
	n, err := p.in.ReadAt(b, pa)
	// The offset of the one around it is that of the space.
	var outer, own *physmem.ReadError
	if errors.As(err, &outer) && errors.As(outer.Err, &own) {
		err = own
	}
	return n, err
}

// Sound implements [physmem.Sieve]: it unpacks all blocks.
func (p *packed) Sound(ctx context.Context) (sound physmem.Memory, damaged uint64, first, err error) {
	var out []physmem.Extent
	for _, e := range p.in.List() {
		for at := e.Start; at < e.End(); {
			if ctx.Err() != nil {
				return nil, 0, nil, context.Cause(ctx)
			}
			from := binio.Uint64(e.Part(at, 0).Offset)
			part := e.Part(at, min(e.End()-at, blockSize-from%blockSize))
			at += part.Size
			b, err := p.space.block(part.Offset)
			if err != nil {
				return nil, 0, nil, err
			}
			if b.err == nil {
				out = extents.Append(out, part)
				continue
			}
			if first == nil {
				first = b.err
			}
			list, bad := b.sound(part)
			damaged += bad
			if len(out)+len(list) > maxSoundPieces {
				damaged += pages(list)
				continue
			}
			for _, x := range list {
				out = extents.Append(out, x)
			}
		}
	}
	if damaged == 0 {
		return nil, 0, nil, nil
	}
	return p.space.memory(slices.Clip(out)), damaged, first, nil
}

// maxSoundPieces caps the pieces that damaged pages cut memory into, 40 MiB of them;
// blocks with damage beyond it count as damaged.
const maxSoundPieces = 1 << 20

func pages(list []physmem.Extent) (n uint64) {
	for _, e := range list {
		n += e.Size / physmem.PageSize
	}
	return n
}

// ramSpace is all RAM blocks one after the other, block n from n MiB on.
type ramSpace struct {
	r   physmem.Source
	ram []ramBlock

	mu   sync.Mutex
	kept []*unpacked // the one used last in front
}

// unpacked is the memory of a compressed block.
type unpacked struct {
	ramBlock
	once sync.Once
	data []byte
	bad  pageMarks
	err  error // why pages are damaged: a *physmem.ReadError with Damaged set
	fail error // why it could not be read
}

// ReadAt implements io.ReaderAt for extents, which ask for what is in blocks alone.
func (s *ramSpace) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		r := s.ram[blockAt(s.ram, off)]
		within := binio.Uint64(off) - r.start()
		part := p[n:][:min(uint64(len(p)-n), r.end()-r.start()-within)]
		got, err := s.readBlock(r, part, within)
		n += got
		off += int64(got)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readBlock reads p from an offset in a block.
func (s *ramSpace) readBlock(r ramBlock, p []byte, within uint64) (int, error) {
	if !r.isPacked() {
		at := place(r.off + within)
		n, err := binio.ReadSome(s.r, p, at)
		if err != nil {
			return n, &physmem.ReadError{Offset: at + int64(n), Err: err}
		}
		return n, nil
	}
	b, err := s.load(r)
	if err != nil {
		return 0, err
	}
	n := copy(p, b.data[within:])
	if b.err != nil {
		for at := within / physmem.PageSize * physmem.PageSize; at < within+uint64(n); at += physmem.PageSize { //nolint:gosec // a length
			if b.bad.has(int(at / physmem.PageSize)) { //nolint:gosec // a page of the block
				return int(max(at, within) - within), b.err //nolint:gosec // at most n
			}
		}
	}
	return n, nil
}

// block returns the block at an offset of the space; a plain one has no damage.
func (s *ramSpace) block(off int64) (*unpacked, error) {
	r := s.ram[blockAt(s.ram, off)]
	if !r.isPacked() {
		return &unpacked{ramBlock: r}, nil
	}
	return s.load(r)
}

// load returns a compressed block unpacked. Those who ask for the same one at a time
// wait for the first of them.
func (s *ramSpace) load(r ramBlock) (*unpacked, error) {
	b := s.slot(r)
	b.once.Do(func() { b.fill(s.r) })
	if b.fail != nil {
		s.drop(b)
		return nil, b.fail
	}
	return b, nil
}

// slot returns the place of a block among those kept.
func (s *ramSpace) slot(r ramBlock) *unpacked {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.kept, func(b *unpacked) bool { return b.number == r.number })
	if i < 0 {
		if len(s.kept) < keptBlocks {
			s.kept = append(s.kept, nil)
		}
		i = len(s.kept) - 1
		s.kept[i] = &unpacked{ramBlock: r}
	}
	b := s.kept[i]
	copy(s.kept[1:], s.kept[:i])
	s.kept[0] = b
	return b
}

// drop forgets a block that could not be read, so that it is tried again.
func (s *ramSpace) drop(b *unpacked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = slices.DeleteFunc(s.kept, func(x *unpacked) bool { return x == b })
}

// fill reads and unpacks the block.
func (b *unpacked) fill(r physmem.Source) {
	src := make([]byte, b.size)
	at := place(b.off)
	if err := binio.ReadFull(r, src, at); err != nil {
		b.fail = &physmem.ReadError{Offset: at, Err: err}
		return
	}
	b.data = make([]byte, blockSize)
	var err error
	if b.bad, err = unpack(b.data, src); err != nil {
		b.err = &physmem.ReadError{Offset: at, Damaged: true, Err: fmt.Errorf("%s: RAM block %d: %w", physmem.FormatHyperV, b.number, err)}
	}
}

// sound returns the parts of an extent in the block that are not damaged, and how many
// pages are.
func (b *unpacked) sound(e physmem.Extent) (out []physmem.Extent, damaged uint64) {
	for at := e.Start; at < e.End(); at += physmem.PageSize {
		x := e.Part(at, min(physmem.PageSize, e.End()-at))
		if b.bad.has(int((binio.Uint64(x.Offset) - b.start()) / physmem.PageSize)) { //nolint:gosec // a page of the block
			damaged++
			continue
		}
		out = extents.Append(out, x)
	}
	return out, damaged
}
