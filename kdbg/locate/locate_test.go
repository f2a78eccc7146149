package locate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg"
	"windmp/kdbg/wire"
	"windmp/physmem"
	"windmp/vtop"
)

// ramOf is a guest's memory map as Blocks takes it.
func ramOf(g *guestsim.Guest) []physmem.Range {
	var out []physmem.Range
	for _, r := range g.RAM() {
		out = append(out, physmem.Range(r))
	}
	return out
}

// blocksIn searches a buffer.
func blocksIn(t *testing.T, buf []byte) []Candidate {
	t.Helper()
	found, err := Blocks(context.Background(), bytes.NewReader(buf), []physmem.Range{{Size: uint64(len(buf))}}, kdbg.X64, kdbg.X86)
	require.NoError(t, err)
	return found
}

// TestBlocks: of a guest, the kernel's block and the driver's copy are found, and
// the kernel's is the one that has a place in the image.
func TestBlocks(t *testing.T) {
	t.Parallel()
	for _, build := range guestsim.Builds {
		for _, encoded := range []bool{false, true} {
			for _, odd := range []bool{false, true} {
				g := guestsim.New(guestsim.Options{Build: build, Encoded: encoded, Odd: odd})
				found, err := Blocks(context.Background(), g.Memory(), ramOf(g), kdbg.X64, kdbg.X86)
				require.NoError(t, err)
				require.Len(t, found, 2, "build %d, encoded %v, odd %v", build, encoded, odd)
				m := guestMemory(g)
				placed := 0
				for _, c := range found {
					assert.Equal(t, vtop.VA(guestsim.KernBase), c.KernBase)
					assert.EqualValues(t, len(g.Plain), c.Size)
					va, ok := c.Place(m.Space)
					if !ok {
						assert.Equal(t, g.PA(g.KDBGCopy), c.At)
						assert.False(t, c.Encoded)
						continue
					}
					placed++
					assert.Equal(t, g.PA(g.KDBG), c.At)
					assert.Equal(t, vtop.VA(g.KDBG), va)
					assert.Equal(t, encoded, c.Encoded)
					b, err := c.Read(m.Space, va)
					require.NoError(t, err)
					assert.Equal(t, g.Plain, b.Raw)
					assert.True(t, b.Linked())
				}
				assert.Equal(t, 1, placed)
			}
		}
	}
}

// TestPlaceByPage: without its list head, a block is placed by its page.
func TestPlaceByPage(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Encoded: true})
	g.Write64(g.Field("List.Flink"), 0)
	found, err := Blocks(context.Background(), g.Memory(), ramOf(g), kdbg.X64, kdbg.X86)
	require.NoError(t, err)
	m := guestMemory(g)
	var at []vtop.VA
	for _, c := range found {
		if va, ok := c.Place(m.Space); ok {
			at = append(at, va)
		}
	}
	assert.Equal(t, []vtop.VA{vtop.VA(g.KDBG)}, at)
}

// TestBlocksEncodings: all rotations, random keys, all sizes, at any aligned place,
// also across the windows of a scan.
func TestBlocksEncodings(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 2*windowSize)
	plain := guestsim.KDBGBlock(26100, guestsim.KernBase)
	for i := range 600 {
		never := rng.Uint64()&^63 | uint64(i%64)
		block := make([]byte, 0x208+8*rng.IntN(0x7f0/8-0x208/8))
		copy(block, plain)
		binary.LittleEndian.PutUint32(block[wire.OffSize:], uint32(len(block)))
		enc := guestsim.Encode(block, never, rng.Uint64(), guestsim.KernBase+rng.Uint64()%0x1000000)
		at := 8 * rng.IntN((len(buf)-len(enc))/8)
		if i%3 == 0 {
			at = windowSize - 8*(1+rng.IntN(len(enc)/8))
		}
		copy(buf[at:], enc)
		what := search{layouts: []*kdbg.Layout{kdbg.X64}, anyLinks: i%2 == 0}
		found := what.in(buf[max(0, at-0x2000):min(len(buf), at+0x2000)], uint64(max(0, at-0x2000)))
		require.Len(t, found, 1, "keys of trial %d at %#x", i, at)
		assert.Equal(t, uint64(at), found[0].At)
		assert.True(t, found[0].Encoded)
		assert.EqualValues(t, len(block), found[0].Size)
		if i%100 == 0 {
			require.Equal(t, found, blocksIn(t, buf))
		}
		clear(buf[at : at+len(enc)])
	}
}

// TestBlocksFalse: nothing is found where nothing is.
func TestBlocksFalse(t *testing.T) {
	t.Parallel()
	size := 64 << 20 // takes most of a second
	if testing.Short() {
		size = 2 << 20
	}
	rng := rand.New(rand.NewPCG(3, 4))
	le := binary.LittleEndian
	tests := map[string]func(b []byte){
		"random": func(b []byte) {
			for off := 0; off < size; off += 8 {
				le.PutUint64(b[off:], rng.Uint64())
			}
		},
		"zero":  func([]byte) {},
		"fives": func(b []byte) { copy(b, bytes.Repeat([]byte{0x55}, size)) },
		"kernel-like": func(b []byte) {
			// Pointers into an image, empty list heads (two equal words), zeros,
			// small numbers, page sizes.
			for off := 0; off+16 <= size; {
				switch rng.IntN(5) {
				case 0:
					head := guestsim.KernBase + rng.Uint64()%0x1000000&^7
					le.PutUint64(b[off:], head)
					le.PutUint64(b[off+8:], head)
					off += 16
				case 1:
					le.PutUint64(b[off:], guestsim.KernBase+rng.Uint64()%0x1000000)
					off += 8
				case 2:
					le.PutUint64(b[off:], 0x1000)
					off += 8
				case 3:
					le.PutUint64(b[off:], rng.Uint64()%0x1000)
					off += 8
				default:
					off += 8 * rng.IntN(32)
				}
			}
		},
		"tags": func(b []byte) {
			// INITKDBG as in a section table, KDBG as an immediate of code, and
			// tags with sizes but nothing around.
			for off := 0; off+64 <= size; off += 64 + rng.IntN(64) {
				switch rng.IntN(4) {
				case 0:
					copy(b[off:], "INITKDBG\x00\x10\x00\x00")
				case 1:
					copy(b[off&^7+4:], "INITKDBG\x00\x10\x00\x00")
				case 2:
					copy(b[off:], "\xc7\x45\x10KDBG\xc7\x45\x14\x80\x03\x00\x00")
				default:
					copy(b[off&^7:], "KDBG\x80\x03\x00\x00\x00\x00\xc0\x12\x04\xf8\xff\xff")
				}
			}
		},
		"half a block": func(b []byte) { copy(b[size-span+8:], guestsim.KDBGBlock(19041, guestsim.KernBase)) },
		"a block of another page size": func(b []byte) {
			copy(b[0x500:], guestsim.KDBGBlock(19041, guestsim.KernBase))
			le.PutUint64(b[0x500+int(wire.OffMmPageSize):], 0x2000)
		},
	}
	for name, fill := range tests {
		buf := make([]byte, size)
		fill(buf)
		assert.Empty(t, blocksIn(t, buf), name)
	}
}

// TestBlocksMany: copies are all candidates, up to the cap.
func TestBlocksMany(t *testing.T) {
	t.Parallel()
	block := guestsim.KDBGBlock(19041, guestsim.KernBase)
	buf := bytes.Repeat(block, 3)
	found := blocksIn(t, buf)
	require.Len(t, found, 3)
	assert.Equal(t, uint64(2*len(block)), found[2].At)
	assert.Len(t, blocksIn(t, bytes.Repeat(block, maxCandidates+100)), maxCandidates)
}

// TestBlocksManyAlways: of more candidates than the cap the lowest are kept, in
// whatever order the windows are searched.
func TestBlocksManyAlways(t *testing.T) {
	t.Parallel()
	block := guestsim.KDBGBlock(19041, guestsim.KernBase)[:span]
	buf := bytes.Repeat(block, 4*windowSize/len(block))
	require.Greater(t, len(buf)/len(block), 4*maxCandidates)
	for range 5 {
		found, err := Blocks(context.Background(), late{buf}, []physmem.Range{{Size: uint64(len(buf))}}, kdbg.X64)
		require.NoError(t, err)
		require.Len(t, found, maxCandidates)
		for i, c := range found {
			require.Equal(t, uint64(i*len(block)), c.At)
		}
	}
}

// late is memory whose start is read last.
type late struct{ buf []byte }

func (l late) ReadAt(p []byte, off int64) (int, error) {
	if off == 0 {
		time.Sleep(50 * time.Millisecond)
	}
	return bytes.NewReader(l.buf).ReadAt(p, off)
}

// badPages is memory of which some pages can't be read: a read that touches one fails,
// as a whole or from there on.
type badPages struct {
	buf   []byte
	bad   []uint64 // ascending
	whole bool
}

var errBadPage = errors.New("bad page")

func (b badPages) ReadAt(p []byte, off int64) (int, error) {
	for _, page := range b.bad {
		if start := int64(page); off < start+physmem.PageSize && off+int64(len(p)) > start {
			if b.whole {
				return 0, errBadPage
			}
			return copy(p[:max(0, start-off)], b.buf[off:]), errBadPage
		}
	}
	return bytes.NewReader(b.buf).ReadAt(p, off)
}

// TestBlocksBeyondBadPages: a page that can't be read hides nothing but itself.
func TestBlocksBeyondBadPages(t *testing.T) {
	t.Parallel()
	block := guestsim.KDBGBlock(19041, guestsim.KernBase)
	for _, whole := range []bool{false, true} {
		mem := badPages{buf: make([]byte, 3*windowSize), bad: []uint64{0x3000, 0x4000, 0x100000, windowSize + 0x5000}, whole: whole}
		copy(mem.buf[0x4f00:], block) // begins in a bad page
		want := []uint64{0x40, 0x3000 - uint64(span), 0x5000, 0x7ff8, 0x80000, 0x101000, windowSize - 0x20, windowSize + 0x6000, 2*windowSize + 8}
		for _, at := range want {
			copy(mem.buf[at:], block)
		}
		ranges := []physmem.Range{{Start: 0x10, Size: uint64(len(mem.buf)) - 0x10}}
		found, err := Blocks(context.Background(), mem, ranges, kdbg.X64)
		require.ErrorIs(t, err, errBadPage)
		require.ErrorContains(t, err, "from 0x10:", "the lowest")
		got := make([]uint64, 0, len(found))
		for _, c := range found {
			got = append(got, c.At)
		}
		assert.Equal(t, want, got, "reads fail as a whole: %v", whole)
	}
}

func TestBlocksErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	g := guestsim.New(guestsim.Options{})
	g.Fail(guestsim.Range{Start: 0x1000, Size: 0x1000}, broken)
	found, err := Blocks(context.Background(), g.Memory(), ramOf(g), kdbg.X64, kdbg.X86)
	require.ErrorIs(t, err, broken)
	assert.NotEmpty(t, found, "the rest is searched")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Blocks(ctx, bytes.NewReader(nil), []physmem.Range{{Size: 1 << 40}}, kdbg.X64)
	require.ErrorIs(t, err, context.Canceled)

	for _, r := range []physmem.Range{{}, {Start: 5, Size: 8}, {Start: 1, Size: uint64(span)}} {
		found, err = Blocks(context.Background(), bytes.NewReader(make([]byte, 0x1000)), []physmem.Range{r}, kdbg.X64)
		require.NoError(t, err)
		assert.Empty(t, found)
	}
}

// BenchmarkBlocks scans memory that looks like a guest's: zeros, pointers, noise.
func BenchmarkBlocks(b *testing.B) {
	const size = 256 << 20
	buf := make([]byte, size)
	rng := rand.New(rand.NewPCG(5, 6))
	for off := 0; off < size; off += 8 {
		switch off >> 12 % 3 {
		case 1:
			binary.LittleEndian.PutUint64(buf[off:], rng.Uint64())
		case 2:
			binary.LittleEndian.PutUint64(buf[off:], guestsim.KernBase+rng.Uint64()%8*0x10)
		}
	}
	b.SetBytes(size)
	for b.Loop() {
		if found, err := Blocks(context.Background(), bytes.NewReader(buf), []physmem.Range{{Size: size}}, kdbg.X64, kdbg.X86); err != nil || len(found) != 0 {
			b.Fatal(found, err)
		}
	}
}
