package winhdr_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/winhdr"
	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// The machine that nobody has built: pointers of 6 bytes would be too much, so it
// has those of x64, its own order of fields, and a CONTEXT of three registers.

// madeUpHeader is its header.
type madeUpHeader struct {
	Signature           uint32
	ValidDump           uint32
	DumpType            winhdr.DumpType
	MachineImageType    uint16
	NumberProcessors    uint8
	_                   uint8
	NumberOfPages       uint32
	NumberOfRuns        uint32
	Run                 [3]struct{ PageCount, BasePage uint16 }
	Context             [32]byte
	Exception           struct{ ExceptionFlags, ExceptionCode, ExceptionAddress uint32 }
	DirectoryTableBase  uint64
	KdDebuggerDataBlock uint64
	SystemTime          uint64
	Room                [8]byte
}

type madeUpContext struct{ PC, Stack, Kernel uint64 }

const madeUpMachine = 0x4d55

func (c *madeUpContext) Machine() uint32        { return madeUpMachine }
func (c *madeUpContext) IP() uint64             { return c.PC }
func (c *madeUpContext) SP() uint64             { return c.Stack }
func (c *madeUpContext) Arguments() []uint64    { return nil }
func (c *madeUpContext) CheckMode() error       { return nil }
func (c *madeUpContext) CheckForReaders() error { return nil }
func (c *madeUpContext) PlausibleSaved() error  { return c.Plausible() }

func (c *madeUpContext) Mode() string {
	if c.Kernel == 0 {
		return "user"
	}
	return "kernel"
}

func (c *madeUpContext) Plausible() error {
	if c.Kernel > 1 {
		return problem.Problem{Field: "Kernel", Offset: 16, Got: "more than 1", Want: "0 or 1"}
	}
	return nil
}

func (c *madeUpContext) Encode() []byte {
	b, _ := binary.Append(nil, binary.LittleEndian, c)
	return b
}

func (c *madeUpContext) Same(other wincontext.Context, _ wincontext.RegisterSet) bool {
	o, ok := other.(*madeUpContext)
	return ok && *o == *c
}

func (c *madeUpContext) ForHeader() wincontext.Context { return c.Clone() }
func (c *madeUpContext) Clone() wincontext.Context     { return new(*c) }

var madeUp = &winhdr.Format{
	Name: "madeup", Title: "made up",
	Machine: madeUpMachine, ValidDump: 0x3155_444d,
	Header: fields.Of[madeUpHeader](), LeastSize: 100, Padding: []string{"Room"},
	MaxProcessors: 8, MinBuild: 0, PFNLimit: 0x100, PFNReason: "it is made up",
	PointerSize: 8, KernelStart: 0xf000,
	TableBase: func(h *winhdr.Header) uint64 { return h.DirectoryTableBase &^ 7 },
	Registers: fields.Of[madeUpContext](),
	DecodeContext: func(b []byte) (wincontext.Context, error) {
		c := new(madeUpContext)
		if len(b) != 24 {
			return nil, &fields.SizeError{Structure: "made up context", Got: len(b), Want: 24}
		}
		_, err := binary.Decode(b, binary.LittleEndian, c)
		return c, err
	},
}

// TestMadeUpFormat: all that is needed for one more machine is a Format.
func TestMadeUpFormat(t *testing.T) {
	t.Parallel()
	require.NoError(t, madeUp.Validate())
	h := madeUp.New()
	assert.Equal(t, 3, madeUp.MaxRuns())
	h.DirectoryTableBase, h.KdDebuggerDataBlock, h.NumberProcessors, h.SystemTime = 0x20000, 0xf123, 8, 1
	h.PsLoadedModuleList = 5 // which this machine has no field for
	require.NoError(t, h.SetRuns([]physmem.Run{{BasePage: 1, PageCount: 2}, {BasePage: 0x20, PageCount: 0xe0}}))
	c := &madeUpContext{PC: 0x1234, Stack: 0x5678, Kernel: 1}
	require.NoError(t, h.Show(c, 1))
	assert.Empty(t, h.Check())

	raw := append(h.Encode(), "the pages"...)
	formats := append(winhdr.Formats(), madeUp)
	assert.Equal(t, 0x2000, winhdr.HeadSize(formats...))
	f, ok := winhdr.Recognise(raw, formats...)
	require.True(t, ok)
	require.Same(t, madeUp, f)
	got, err := winhdr.Decode(raw, formats...)
	require.NoError(t, err)
	assert.Equal(t, h.Encode(), got.Encode())
	assert.Zero(t, got.PsLoadedModuleList)
	assert.True(t, got.Context().Same(c, 0))
	assert.EqualValues(t, 0xe2, got.RunTable().Pages)

	wrong := got.Clone()
	wrong.NumberProcessors, wrong.MachineImageType, wrong.KdDebuggerDataBlock = 9, wincontext.MachineAMD64, 0x100
	problems := wrong.Check()
	require.Len(t, problems, 3)
	require.EqualError(t, problems[0], "MachineImageType at 0xc: got 0x8664 (x64), want 0x4d55 (made up)")
	require.EqualError(t, problems[1], "NumberProcessors at 0xe: got 0x9, want 1 to 8")
	assert.Len(t, winhdr.Diff(got, wrong), 3)
	require.EqualError(t, wrong.SetRuns([]physmem.Run{{BasePage: 0x100, PageCount: 1}}),
		"Run[0].BasePage at 0x1a: got 0x100, want below 0x100, it is made up")
	require.Error(t, wrong.Show(new(wincontext.Context64), 0))
	require.Error(t, winhdr.X64.New().Show(c, 0))
	got.ClearAlignment()
	assert.Equal(t, make([]byte, 8), got.Encode()[madeUp.Offset("Room"):])
}
