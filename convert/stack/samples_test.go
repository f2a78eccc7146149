package stack_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/stack"
	"windmp/internal/qemutest"
	"windmp/kdbg/peimage"
	"windmp/kdbg/unwind"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/vtop"
)

// crashOf walks the stack of what crashed.
func crashOf(tb testing.TB, g *guest.Guest) (*stack.Walker, *stack.Stack) {
	tb.Helper()
	w, ok := stack.New(g)
	require.True(tb, ok)
	s, ok := w.Crash(plan.Stacks(g))
	require.True(tb, ok)
	return w, s
}

// TestSamples: the whole stack is the guest's own list, the crash is where the
// exception was, and equal crashes are known by equal signatures wherever the images
// were loaded, whatever the paging.
func TestSamples(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, signature string
		source          stack.Source
		handlers        int
	}{
		{"stack-trap-2cpu", "0xd1!sprocket+0x141a", stack.FromMachineFrame, 3},
		{"stack-moved-1cpu", "0xd1!sprocket+0x141a", stack.FromMachineFrame, 3},
		{"stack-x86-2cpu", "0x7e_c0000005!sprocket+0x1250", stack.FromContext, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := openCrashed(t, sampleGuest(t, tt.name))
			w, s := crashOf(t, c.guest)
			var got []place
			for _, f := range s.All() {
				got = append(got, place{f.PC, f.SP})
			}
			assert.Equal(t, c.list, got)
			assert.True(t, s.Complete())
			assert.False(t, s.Scanned())
			assert.Empty(t, s.Seen)
			assert.Equal(t, tt.source, s.Start.Source)
			assert.Len(t, s.Handlers, tt.handlers)
			g := w.Sign(s)
			assert.Equal(t, tt.signature, g.String())
			assert.Equal(t, stack.ByInstruction, g.Chosen)
			m := c.module(t, "sprocket.sys")
			image, err := c.guest.Memory().ReadImage(m.Base)
			require.NoError(t, err)
			assert.Equal(t, image.Timestamp, g.Timestamp)
			assert.Equal(t, image.Size, g.Size)
			for i, f := range w.Report(s).Frames {
				assert.Equal(t, tt.handlers+i, f.Index)
				assert.NotEmpty(t, f.Module)
			}
		})
	}
}

// TestNames: an export is named where its function is known to begin there, and nothing
// behind it is.
func TestNames(t *testing.T) {
	t.Parallel()
	c := openCrashed(t, sampleGuest(t, "stack-trap-2cpu"))
	w, s := crashOf(t, c.guest)
	r := w.Report(s)
	var places []string
	for _, f := range append(r.Handlers, r.Frames...) {
		if f.Export != "" || f.Module != "ntoskrnl.exe" { // what it does not export moves with its builds
			places = append(places, f.Place)
		}
	}
	assert.Equal(t, []string{
		"nt!KeBugCheckEx+0x0", "nt!KiPageFault+0xcc",
		"sprocket+0x141a", "sprocket+0x1402", "sprocket+0x103f", "sprocket+0x10d0", "sprocket+0x10b6", "sprocket+0x10b6",
		"sprocket+0x10b6", "sprocket+0x13c5", "sprocket+0x137a", "nt!ExRunCallback+0x90", "sprocket+0x12dd", "sprocket+0x1294",
		"sprocket!SprocketRequest+0x9c", "gizmo+0x10c5", "nt!ExRunCallback+0x90", "gizmo!GizmoThread+0x33",
		"nt!KiStartSystemThread+0x9",
	}, places)
}

// poke writes into a vmcore what the guest has at an address.
func (c *crashed) poke(t *testing.T, core []byte, va vtop.VA, b []byte) {
	t.Helper()
	for i := range b {
		m, err := c.guest.Memory().Space.Translate(va + vtop.VA(i))
		require.NoError(t, err)
		off, ok := c.guest.Image().FileOffset(uint64(m.PA))
		require.True(t, ok)
		core[off] = b[i]
	}
}

// TestWithoutUnwindData: where exception directories were wiped, frames are found by
// scans alone, and the trap frame by the instruction that a parameter names.
func TestWithoutUnwindData(t *testing.T) {
	t.Parallel()
	core := sampleGuest(t, "stack-trap-2cpu")
	c := openCrashed(t, core)
	for _, m := range c.guest.Modules() {
		h, err := peimage.ReadHeaders(c.guest.Memory().Space, m.Base, c.guest.Machine().Kernel.Image)
		if err == nil && h.Functions.Size > 0 {
			c.poke(t, core, h.Base+vtop.VA(h.Functions.RVA), make([]byte, h.Functions.Size))
		}
	}
	w, s := crashOf(t, openCrashed(t, core).guest)
	assert.Equal(t, stack.FromStack, s.Start.Source)
	assert.Equal(t, 4, s.Start.Parameter)
	assert.Equal(t, "0xd1!sprocket+0x141a", w.Sign(s).String())
	assert.True(t, s.Scanned())
	seen := map[vtop.VA]bool{}
	for i, f := range s.All() {
		assert.Contains(t, []stack.How{stack.Context, stack.Entry, stack.Trap, stack.How(unwind.Scan)}, f.How, "frame %d", i)
		seen[f.PC] = true
	}
	for _, p := range c.list[5:12] { // calls that are on the stack still
		assert.True(t, seen[p.pc], "%v", p)
	}
}

// TestInterrupted: of a bug check that names no instruction, what an interrupt had
// stopped is the crash where the bug check is about that, and else has no part in it.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code      uint64
		source    stack.Source
		chosen    stack.Chosen
		signature string
	}{
		{0x7f, stack.FromMachineFrame, stack.ByInstruction, "0x7f!sprocket+"},
		{0x133, stack.FromMachineFrame, stack.ByInstruction, "0x133!sprocket+"},
		{0x9f, stack.FromSaved, stack.ByKernel, "0x9f!nt+"},
	} {
		t.Run(fmt.Sprintf("%#x", tt.code), func(t *testing.T) {
			t.Parallel()
			core := sampleGuest(t, "stack-trap-2cpu")
			c := openCrashed(t, core)
			at := vtop.VA(c.guest.Kernel().Data.KiBugcheckData)
			for i, v := range []uint64{tt.code, 8, 0, 0, 0} {
				c.poke(t, core, at+vtop.VA(8*i), binary.LittleEndian.AppendUint64(nil, v))
			}
			w, s := crashOf(t, openCrashed(t, core).guest)
			assert.Equal(t, tt.source, s.Start.Source)
			g := w.Sign(s)
			assert.Equal(t, tt.chosen, g.Chosen)
			assert.Contains(t, g.String(), tt.signature)
			if tt.chosen == stack.ByInstruction {
				assert.Equal(t, uint64(c.instruction()-c.module(t, "sprocket.sys").Base), g.Place.RVA)
			}
		})
	}
}

// countingSource counts the pages that are read of a file.
type countingSource struct {
	b     []byte
	pages []atomic.Bool
}

func (s *countingSource) ReadAt(p []byte, off int64) (int, error) {
	if len(p) > 0 {
		for i := off / physmem.PageSize; i <= (off+int64(len(p))-1)/physmem.PageSize && i < int64(len(s.pages)); i++ {
			s.pages[i].Store(true)
		}
	}
	return bytes.NewReader(s.b).ReadAt(p, off)
}

func (s *countingSource) read() (n int) {
	for i := range s.pages {
		if s.pages[i].Load() {
			n++
		}
	}
	return n
}

// TestPagesRead: a signature is had for some hundred pages of whatever memory, what
// finding the guest takes included.
func TestPagesRead(t *testing.T) {
	t.Parallel()
	core := sampleGuest(t, "stack-trap-2cpu")
	src := &countingSource{b: core, pages: make([]atomic.Bool, len(core)/physmem.PageSize+1)}
	im, err := open.Source(t.Context(), physmem.NewSource("", io.NewSectionReader(src, 0, int64(len(core))), int64(len(core))), open.Options{})
	require.NoError(t, err)
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	found := src.read()
	cpus, shown := plan.Stacks(g)
	assert.NotNil(t, stack.SignatureOf(g, cpus, shown))
	assert.Less(t, src.read()-found, 100)
	assert.Less(t, src.read(), 300)
}

// FuzzStack overwrites words of the stack, of images and of what leads to them: the walk
// ends with a reason after 64 frames at most, and a stack can be said and signed.
func FuzzStack(f *testing.F) {
	var core []byte
	for _, s := range qemutest.ImageSamples() {
		if s.Name == "stack-trap-2cpu" {
			core = s.Core(f)
		}
	}
	places := fuzzPlaces(f, core)
	f.Add(uint32(0), uint64(0), uint32(0x700), uint64(1))
	f.Add(uint32(0x1f1), uint64(0xffffffffffffffff), uint32(0x2000), uint64(0x10))
	f.Add(uint32(0x3000), uint64(0xfffff80041c00000), uint32(0x17), uint64(0x0102030405060708))
	f.Fuzz(func(t *testing.T, at1 uint32, v1 uint64, at2 uint32, v2 uint64) {
		b := slices.Clone(core)
		for _, p := range []struct {
			at uint32
			v  uint64
		}{{at1, v1}, {at2, v2}} {
			off := places[int(p.at/512)%len(places)] + int64(p.at%512)*8
			for i := range 8 {
				b[off+int64(i)] = byte(p.v >> (8 * i))
			}
		}
		im, err := open.Source(t.Context(), physmem.NewSource("", bytes.NewReader(b), int64(len(b))), open.Options{})
		if err != nil {
			return
		}
		g, err := guest.Find(t.Context(), im, guest.Options{})
		if err != nil {
			return
		}
		w, ok := stack.New(g)
		require.True(t, ok)
		cpus, shown := plan.Stacks(g)
		s, ok := w.Crash(cpus, shown)
		if !ok {
			return
		}
		assertStack(t, w, s)
		for _, c := range cpus {
			if s, ok := w.CPU(c); ok {
				assertStack(t, w, s)
			}
		}
	})
}

// assertStack: what holds of any stack.
func assertStack(t *testing.T, w *stack.Walker, s *stack.Stack) {
	t.Helper()
	require.NotEmpty(t, s.Frames)
	require.NotNil(t, s.Stop)
	assert.LessOrEqual(t, len(s.Frames), unwind.MaxFrames+2)
	assert.LessOrEqual(t, len(s.Handlers), unwind.MaxFrames+2)
	assert.LessOrEqual(t, len(s.Seen), 64)
	r := w.Report(s)
	assert.NotEmpty(t, r.Stop)
	for _, f := range append(slices.Clone(r.Handlers), r.Frames...) {
		assert.NotEmpty(t, f.Place)
		assert.NotEmpty(t, f.How)
	}
	if g := w.Sign(s); g != nil {
		assert.NotEmpty(t, g.Chosen)
		assert.NotEmpty(t, g.Report().Reason)
	}
}

// fuzzPlaces are the pages, by offset in the file, that the walk reads: the stack, and the
// headers, code and unwind data of the images.
func fuzzPlaces(tb testing.TB, core []byte) []int64 {
	tb.Helper()
	im, err := open.Source(tb.Context(), physmem.NewSource("", bytes.NewReader(core), int64(len(core))), open.Options{})
	require.NoError(tb, err)
	g, err := guest.Find(tb.Context(), im, guest.Options{})
	require.NoError(tb, err)
	_, s := crashOf(tb, g)
	pages := map[vtop.VA]bool{}
	for _, f := range s.All() {
		pages[f.SP&^0xfff] = true
		for _, x := range f.Read {
			pages[x.VA&^0xfff] = true
		}
	}
	for _, m := range g.Modules() {
		pages[m.Entry&^0xfff] = true
	}
	var places []int64
	for va := range pages {
		m, err := g.Memory().Space.Translate(va)
		require.NoError(tb, err)
		off, ok := g.Image().FileOffset(uint64(m.PA))
		require.True(tb, ok)
		places = append(places, off)
	}
	slices.Sort(places)
	return places
}
