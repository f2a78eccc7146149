package stack_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/stack"
	"windmp/internal/qemutest"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/kdbg/unwind"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/vtop"
)

// The guests of testdata/images run code of three images, crash, and keep a list of the
// frames of the crashed thread: each function says where it was called from as it begins.
// Unwind data has no part in that list, so it is the witness of ours.

// place is a frame: where it is, and where its stack pointer is.
type place struct{ pc, sp vtop.VA }

func (p place) String() string { return fmt.Sprintf("%v sp %v", p.pc, p.sp) }

// crashed is a guest whose images crashed.
type crashed struct {
	guest *guest.Guest
	list  []place // the guest's own, the innermost first
	// raised is the processor that crashed.
	raised stack.Raised
	// loader lets the walk know where the loader says that exception directories are.
	loader bool
}

// openCrashed finds the guest in a vmcore, with its list.
func openCrashed(t *testing.T, core []byte) *crashed {
	t.Helper()
	c := &crashed{guest: findGuest(t, core)}
	c.readList(t)
	c.raised = stack.RaisedBy(c.guest)
	require.GreaterOrEqual(t, c.raised.Index, 0, c.raised.How)
	return c
}

func findGuest(t *testing.T, core []byte) *guest.Guest {
	t.Helper()
	im, err := open.Source(t.Context(), physmem.NewSource("", bytes.NewReader(core), int64(len(core))), open.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, im.Close()) })
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	return g
}

// readList reads GuestFrames of testdata/images/core.c.
func (c *crashed) readList(t *testing.T) {
	t.Helper()
	s, size := c.guest.Memory().Space, c.guest.Machine().Kernel.PointerSize
	at := c.export(t, "ntoskrnl.exe", "GuestFrames")
	word := func() vtop.VA {
		b := make([]byte, 8)
		_, err := s.ReadVirtual(b[:size], at)
		require.NoError(t, err)
		at += vtop.VA(size)
		return vtop.VA(binary.LittleEndian.Uint64(b))
	}
	n := int(word())
	word()
	require.Less(t, n, 64)
	c.list = make([]place, n)
	for i := range n {
		c.list[n-1-i] = place{word(), word()}
	}
}

// export is the address that an image exports.
func (c *crashed) export(t *testing.T, module, name string) vtop.VA {
	t.Helper()
	m := c.module(t, module)
	image := peimage.Image{Base: m.Base, Size: m.Size}
	va, err := image.Export(c.guest.Memory().Space, name)
	require.NoError(t, err)
	return va
}

func (c *crashed) module(t *testing.T, name string) kdbg.Module {
	t.Helper()
	for _, m := range c.guest.Modules() {
		if m.Name == name {
			return m
		}
	}
	require.Fail(t, "no such module", name)
	return kdbg.Module{}
}

// images are the guest's modules, with what the loader says of them if that is wanted.
func (c *crashed) images() *unwind.List {
	var list []*unwind.Image
	for _, m := range c.guest.Modules() {
		im := &unwind.Image{Base: m.Base, Size: m.Size}
		if c.loader {
			im.Functions = unwind.Span{VA: m.Functions, Size: m.FunctionsSize}
		}
		list = append(list, im)
	}
	return unwind.NewList(list)
}

// walk goes from what KeBugCheckEx saved to the thread's first frame.
func (c *crashed) walk(t *testing.T) unwind.Trace {
	t.Helper()
	method := c.guest.Machine().Unwind
	f, ok := method.Frame(c.guest.Processors()[c.raised.Index].Saved)
	require.True(t, ok)
	start := place{f.PC, f.SP}
	assert.Equal(t, c.list[0], start)
	return method.Walk(c.guest.Memory().Space, c.images(), f, unwind.Limits{})
}

// places are the frames of a walk but for the first.
func places(t unwind.Trace) []place {
	var list []place
	for _, s := range t.Steps {
		list = append(list, place{s.Caller.PC, s.Caller.SP})
	}
	return list
}

// sampleGuest is a committed sample, by its name.
func sampleGuest(t *testing.T, name string) []byte {
	t.Helper()
	for _, s := range qemutest.ImageSamples() {
		if s.Name == name {
			return s.Core(t)
		}
	}
	require.Fail(t, "no such sample", name)
	return nil
}

func TestWitness(t *testing.T) {
	t.Parallel()
	for _, s := range qemutest.ImageSamples() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			c := openCrashed(t, s.Core(t))
			trace := c.walk(t)
			assert.Equal(t, c.list[1:], places(trace))
			assert.Equal(t, unwind.AtEnd, trace.Stop.Reason)
		})
	}
}
