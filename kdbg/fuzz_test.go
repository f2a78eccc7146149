package kdbg

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg/wire"
	"windmp/vtop"
)

// counted bounds what a reader may be asked for.
type counted struct {
	r     io.ReaderAt
	reads int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	return c.r.ReadAt(p, off)
}

// checkBlock holds what any answer must keep to.
func checkBlock(t *testing.T, e Expect, b *Kernel, err error) {
	t.Helper()
	require.NotEqual(t, b == nil, err == nil, "a block or an error, never both")
	if err != nil {
		var fault *vtop.FaultError
		if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrMismatch) {
			require.ErrorAs(t, err, &fault)
		}
		return
	}
	assert.Len(t, b.Raw, int(b.Data.Header.Size))
	assert.True(t, wire.ValidSize(b.Data.Header.Size))
	assert.Equal(t, wire.Decode(b.Raw), b.Data)
	assert.NoError(t, b.Verify(e))
}

// memoryLimit is how many reads of physical memory one block may cost: a
// handful of small reads, each with its page walk.
const memoryLimit = 400

func addBlocks(f *testing.F, encoded bool) {
	f.Helper()
	for _, build := range guestsim.Builds {
		for _, offset := range []uint16{0, 0xb20, 0xe00, 0xfff} {
			block := guestsim.KDBGBlock(build, guestsim.KernBase)
			if encoded {
				block = guestsim.Encode(block, guestsim.DefaultWaitNever+uint64(offset), guestsim.DefaultWaitAlways, guestsim.KernBase+0x1000)
			}
			f.Add(block, offset)
			f.Add(block[:wire.MinSize], offset)
		}
	}
	f.Add([]byte{}, uint16(0))
}

func fuzzBlock(f *testing.F, read func(Memory, vtop.VA, Expect) (*Kernel, error)) {
	f.Helper()
	e := Expect{PsLoadedModuleList: guestsim.KernBase + 0xc2a2d0}
	f.Fuzz(func(t *testing.T, block []byte, offset uint16) {
		block = block[:min(len(block), wire.MaxSize)]
		m := flat(block, uint64(offset&0xfff))
		c := &counted{r: m.Space.Mem}
		m.Space.Mem = c
		for _, e := range []Expect{{}, e} {
			c.reads = 0
			b, err := read(m, flatVA+vtop.VA(offset&0xfff), e)
			assert.Less(t, c.reads, memoryLimit)
			checkBlock(t, e, b, err)
			if b != nil {
				checkReaders(t, b)
			}
		}
	})
}

// checkReaders runs what hangs off a block that passed.
func checkReaders(t *testing.T, b *Kernel) {
	t.Helper()
	list, err := b.Processors(4)
	require.NotEqual(t, list == nil, err == nil)
	bc, err := b.BugCheck()
	assert.True(t, err == nil || bc == BugCheck{})
	lab, err := b.BuildLab()
	assert.True(t, err == nil || lab == "")
	assert.LessOrEqual(t, len(lab), maxBuildLab)
}

func FuzzDecode(f *testing.F) {
	addBlocks(f, true)
	addBlocks(f, false)
	fuzzBlock(f, Memory.Decode)
}

func FuzzRead(f *testing.F) {
	addBlocks(f, false)
	addBlocks(f, true)
	fuzzBlock(f, Memory.Read)
}

// FuzzModules makes the fuzzer's bytes the memory that the list's head and
// entries lie in.
func FuzzModules(f *testing.F) {
	g := guestsim.New(guestsim.Options{})
	page := g.Modules[0].Entry &^ 0xfff
	f.Add(g.Read(page, 0x1000), uint16(g.Modules[0].Entry&0xfff))
	f.Add(loop(flatVA), uint16(0))
	f.Add([]byte{}, uint16(0x10))
	f.Fuzz(func(t *testing.T, mem []byte, head uint16) {
		mem = mem[:min(len(mem), 0x2000)]
		m := flat(mem, 0)
		c := &counted{r: m.Space.Mem}
		m.Space.Mem = c
		list, err := m.ModulesAt(flatVA + vtop.VA(head))
		assert.LessOrEqual(t, len(list), MaxModules)
		// A list of entries in three pages, each seen once: at most one at each
		// address, each with one entry and two names.
		assert.LessOrEqual(t, len(list), 0x3000)
		assert.Less(t, c.reads, 100*(len(list)+2))
		seen := map[vtop.VA]bool{}
		for _, m := range list {
			assert.False(t, seen[m.Entry])
			seen[m.Entry] = true
			// Three bytes of UTF-8 at most for two of UTF-16.
			assert.LessOrEqual(t, len(m.Name)+len(m.FullName), 3*MaxNameBytes)
		}
		if err == nil {
			return
		}
		var fault *vtop.FaultError
		assert.True(t, errors.As(err, &fault) || errors.Is(err, ErrCycle) || errors.Is(err, ErrNotKernel) || errors.Is(err, ErrTooMany))
	})
}

// loop is a page whose first qword points to the second, and that to the first.
func loop(va uint64) []byte {
	b := make([]byte, 0x100)
	for i := range uint64(8) {
		b[8*i] = byte(8 * ((i + 1) % 8))
		for k := uint64(1); k < 8; k++ {
			b[8*i+k] = byte(va >> (8 * k))
		}
	}
	return b
}
