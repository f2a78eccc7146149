package stack_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/kdbg"
	"windmp/kdbg/unwind"
	"windmp/vtop"
)

// exceptionDirectory is where an image of PE32+ says where its exception directory lies.
func exceptionDirectory(t *testing.T, c *crashed, m kdbg.Module) (entry vtop.VA, rva, size uint32) {
	t.Helper()
	le := binary.LittleEndian
	pe := vtop.VA(le.Uint32(c.read(t, m.Base+0x3c, 4)))
	entry = m.Base + pe + 24 + 112 + 3*8
	b := c.read(t, entry, 8)
	return entry, le.Uint32(b), le.Uint32(b[4:])
}

// read reads guest memory.
func (c *crashed) read(t *testing.T, va vtop.VA, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := c.guest.Memory().Space.ReadVirtual(b, va)
	require.NoError(t, err)
	return b
}

// wipe replaces bytes of a page in a vmcore; the page is found by what it holds.
func (c *crashed) wipe(t *testing.T, core []byte, va vtop.VA, with []byte) {
	t.Helper()
	page := c.read(t, va&^0xfff, 0x1000)
	at := bytes.Index(core, page)
	require.Positive(t, at)
	require.Equal(t, -1, bytes.Index(core[at+1:], page))
	copy(core[at+int(va&0xfff):], with)
}

// dataPage are the flags of a page of data in the guest's page tables, P_DATA in
// testdata/guest/guest.h.
const dataPage = 0x8000000000000163

// unmap takes a page of data out of the page tables of a vmcore.
func (c *crashed) unmap(t *testing.T, core []byte, va vtop.VA) {
	t.Helper()
	tr, err := c.guest.Memory().Space.Translate(va)
	require.NoError(t, err)
	entry := binary.LittleEndian.AppendUint64(nil, dataPage|uint64(tr.PA)&^0xfff)
	at := bytes.Index(core, entry)
	require.Positive(t, at)
	clear(core[at:][:len(entry)])
}

// wipes are ways in which unwind data is gone.
var wipes = map[string]func(t *testing.T, c *crashed, core []byte, m kdbg.Module){
	"zeros": func(t *testing.T, c *crashed, core []byte, m kdbg.Module) {
		t.Helper()
		_, rva, size := exceptionDirectory(t, c, m)
		c.wipe(t, core, m.Base+vtop.VA(rva), make([]byte, size))
	},
	"not mapped": func(t *testing.T, c *crashed, core []byte, m kdbg.Module) {
		t.Helper()
		_, rva, _ := exceptionDirectory(t, c, m)
		c.unmap(t, core, m.Base+vtop.VA(rva))
	},
	"none": func(t *testing.T, c *crashed, core []byte, m kdbg.Module) {
		t.Helper()
		entry, _, _ := exceptionDirectory(t, c, m)
		c.wipe(t, core, entry, make([]byte, 8))
	},
	"no headers": func(t *testing.T, c *crashed, core []byte, m kdbg.Module) {
		t.Helper()
		c.wipe(t, core, m.Base, make([]byte, 0x400))
	},
}

// TestWiped: where no unwind data is in memory, frames are found by a scan and are said
// to be. The scan finds all that are there, but for the interrupted one, and more.
func TestWiped(t *testing.T) {
	t.Parallel()
	for name, wipe := range wipes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core := sampleGuest(t, "stack-trap-2cpu")
			c := openCrashed(t, core)
			wiped := bytes.Clone(core)
			for _, module := range []string{"ntoskrnl.exe", "gizmo.sys", "sprocket.sys"} {
				wipe(t, c, wiped, c.module(t, module))
			}
			w := &crashed{guest: findGuest(t, wiped), list: c.list, raised: c.raised}
			trace := w.walk(t)
			for _, s := range trace.Steps {
				assert.Equal(t, unwind.Scan, s.How, "%v", s.Caller.PC)
			}
			assert.Subset(t, places(trace), slices.Concat(c.list[1:3], c.list[4:]))
			assert.Contains(t, []unwind.Reason{unwind.NoUnwindData, unwind.BadUnwindData}, trace.Stop.Reason)
		})
	}
}

// TestWipedHeaders: where headers are gone, what the loader noted leads to unwind data.
func TestWipedHeaders(t *testing.T) {
	t.Parallel()
	core := sampleGuest(t, "stack-trap-2cpu")
	c := openCrashed(t, core)
	wiped := bytes.Clone(core)
	for _, module := range []string{"ntoskrnl.exe", "gizmo.sys", "sprocket.sys"} {
		wipes["no headers"](t, c, wiped, c.module(t, module))
	}
	w := &crashed{guest: findGuest(t, wiped), list: c.list, raised: c.raised, loader: true}
	assert.Equal(t, c.list[1:], places(w.walk(t)))
}
