package winhdr

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// TestHeaderRoundTrip: whatever the bytes are, decoding and encoding changes none.
func TestHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range Formats() {
		random := make([]byte, f.Size())
		for i := range random {
			random[i] = byte(r.Uint32())
		}
		filled := make([]byte, f.Size())
		problem.PageFill(filled)
		for _, raw := range [][]byte{random, filled, make([]byte, f.Size())} {
			before := bytes.Clone(raw)
			h, err := f.Decode(raw)
			require.NoError(t, err)
			assert.Same(t, f, h.Format())
			assert.Equal(t, f.Size(), h.Size())
			assert.Equal(t, raw, h.Encode())
			assert.Equal(t, raw, h.Clone().Encode())
			assert.Equal(t, before, raw, "the input is left alone")
			raw[0]++
			assert.Equal(t, before, h.Encode(), "the header does not depend on it any more")
			c := h.Context()
			assert.Equal(t, before[h.Offset("Context"):][:f.Registers.Size()], c.Encode())
		}
		for _, size := range []int{0, 0x1800, f.Size() - 1, f.Size() + 1} {
			h, err := f.Decode(make([]byte, size))
			assert.Nil(t, h)
			var wrong *fields.SizeError
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, fields.SizeError{Structure: f.Name + " dump header", Got: size, Want: f.Size()}, *wrong)
		}
		for _, size := range []int{0, f.Registers.Size() - 1, f.Registers.Size() + 1} {
			c, err := f.DecodeContext(make([]byte, size))
			assert.Nil(t, c)
			var wrong *fields.SizeError
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, wrong.Want, f.Registers.Size())
		}
	}
}

// TestHeaderFields: each field of Header stands in one of the formats at least, and
// changes these bytes only.
func TestHeaderFields(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, f := range Formats() {
		blank := f.New()
		before := blank.Encode()
		seen := 0
		for i, name := range headerFields {
			in, ok := f.Header.Field(name)
			if !ok {
				assert.Zero(t, blank.Offset(name))
				continue
			}
			found[name] = true
			assert.Equal(t, in.Offset, blank.Offset(name))
			h := *blank
			v := reflect.ValueOf(&h).Elem().Field(i)
			if v.Kind() == reflect.Array {
				v = v.Index(v.Len() - 1)
			}
			v.SetUint(^v.Uint() & (1<<v.Type().Bits() - 1))
			after := h.Encode()
			require.False(t, bytes.Equal(before, after), name)
			assert.Equal(t, before[:in.Offset], after[:in.Offset], name)
			assert.Equal(t, before[in.End():], after[in.End():], name)
			diffs := Diff(blank, &h)
			require.Len(t, diffs, 1)
			assert.Contains(t, diffs[0].Field, name)
			seen++
		}
		assert.Greater(t, seen, 20)
		assert.Equal(t, before, blank.Encode(), "a copy shares nothing")
	}
	assert.Len(t, found, len(headerFields))
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, f := range Formats() {
		h := f.New()
		assert.Equal(t, f.Machine, h.MachineImageType)
		assert.Equal(t, f.ValidDump, h.ValidDump)
		assert.Equal(t, DumpTypeFull, h.DumpType)
		assert.Equal(t, RunTable{}, h.RunTable())
		assert.Equal(t, problem.Fill, h.SuiteMask)
		require.Error(t, h.Context().Plausible())
		runs := make(physmem.Runs, f.MaxRuns())
		for i := range runs {
			runs[i] = physmem.Run{BasePage: uint64(2 * i), PageCount: 1}
		}
		require.NoError(t, h.SetRuns(runs))
		got, problems := h.Runs()
		assert.Equal(t, runs, got)
		assert.Empty(t, problems)
		assert.EqualValues(t, f.MaxRuns(), h.RunTable().Pages)
		require.Error(t, h.SetRuns(append(runs, physmem.Run{BasePage: 1000, PageCount: 1})))
	}
}

// TestReadersDoNotWrite: with -race, two that only read a header do not meet.
func TestReadersDoNotWrite(t *testing.T) {
	t.Parallel()
	for _, h := range []*Header{goodHeader(), goodHeader32()} {
		h.RequiredDumpSpace = 0x1234 // not yet in the bytes behind the fields
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				assert.Empty(t, h.Check())
				assert.Len(t, h.Encode(), h.Size())
				_, problems := h.Runs()
				assert.Empty(t, problems)
				require.Error(t, h.Context().Plausible())
				assert.Empty(t, Diff(h, h.Clone()))
				_ = h.CommentText()
			})
		}
		wg.Wait()
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	wide, narrow := X64.New(), X86.New()
	for _, h := range []*Header{wide, narrow} {
		h.edit(func(b []byte) { problem.PageFill(b[h.Offset("Exception"):][:0x20]) }) // to be cleared
	}
	require.NoError(t, wide.Show(&wincontext.Context64{Rip: 0x1234567890, Rsp: 5, SegCs: 0x10}, 1))
	assert.Equal(t, uint64(0x1234567890), wide.Context().IP())
	assert.EqualValues(t, 5, wide.Context().SP())
	assert.Equal(t, "kernel", wide.Context().Mode())
	exception, err := fields.Decode[exception64]("", wide.Encode()[0xf00:0xf98], 0x98)
	require.NoError(t, err)
	assert.Equal(t, exception64{ExceptionCode: StatusBreakpoint, ExceptionFlags: 1, ExceptionAddress: 0x1234567890}, *exception)
	require.NoError(t, narrow.Show(&wincontext.Context32{Eip: 0x87654321, Esp: 6, SegCs: 0x8}, 0))
	assert.Equal(t, uint64(0x87654321), narrow.Context().IP())
	assert.EqualValues(t, 6, narrow.Context().SP())
	assert.Equal(t, "kernel", narrow.Context().Mode())
	exception32, err := fields.Decode[exception32]("", narrow.Encode()[0x7d0:0x820], 0x50)
	require.NoError(t, err)
	assert.Equal(t, StatusBreakpoint, exception32.ExceptionCode)
	assert.Equal(t, uint32(0x87654321), exception32.ExceptionAddress)
	assert.Zero(t, exception32.ExceptionFlags)
}

// shortContext claims to be x64's, and has too few bytes.
type shortContext struct{ wincontext.Context64 }

func (shortContext) Encode() []byte { return make([]byte, 8) }

func TestShowRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		h    *Header
		c    wincontext.Context
		text string
	}{
		"none":              {X64.New(), nil, "Context at 0x348: got none, want that of machine 0x8664 (x64)"},
		"32-bit in 64-bit":  {X64.New(), new(wincontext.Context32), "Context at 0x348: got that of machine 0x14c (32-bit x86), want that of machine 0x8664 (x64)"},
		"64-bit in 32-bit":  {X86.New(), new(wincontext.Context64), "Context at 0x320: got that of machine 0x8664 (x64), want that of machine 0x14c (32-bit x86)"},
		"of the wrong size": {X64.New(), new(shortContext), "Context at 0x348: got 0x8 bytes, want 0x4d0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := tt.h.Clone()
			err := tt.h.Show(tt.c, 0)
			var p problem.Problem
			require.ErrorAs(t, err, &p)
			require.EqualError(t, p, tt.text)
			assert.Equal(t, before, tt.h)
		})
	}
}

func TestClearAlignment(t *testing.T) {
	t.Parallel()
	h := X64.New()
	h.edit(func(b []byte) { problem.PageFill(b[0x88:0xa0]) })
	before := h.Clone()
	h.ClearAlignment()
	assert.Equal(t, []FieldDiff{
		{"NumberOfRunsPad", 0x8c, "0x45474150", "0x0"},
		{"DumpTypePad", 0xf9c, "50 41 47 45", "00 00 00 00"},
	}, Diff(before, h))
	narrow := X86.New()
	before = narrow.Clone()
	narrow.ClearAlignment()
	assert.Equal(t, before, narrow)
}

func TestDiff(t *testing.T) {
	t.Parallel()
	a := goodHeader()
	assert.Empty(t, Diff(a, a.Clone()))
	b := a.Clone()
	b.BugCheckParameters[2] = 5
	b.MinorVersion = 26100
	require.NoError(t, b.SetComment("x"))
	require.NoError(t, b.SetRuns(physmem.Runs{{BasePage: 1, PageCount: 0x9e}, {BasePage: 0x100, PageCount: 0x1ee1}}))
	require.NoError(t, b.Show(&wincontext.Context64{Rip: 0xfffff80012345678, FltSave: wincontext.XSaveFormat{XmmRegisters: [16]wincontext.M128A{1: {High: 7}}}}, 1))
	var texts []string
	for _, d := range Diff(a, b) {
		texts = append(texts, d.String())
	}
	assert.Equal(t, []string{
		"MinorVersion at 0xc: 0x4a61 becomes 0x65f4",
		"BugCheckParameters[2] at 0x50: 0x0 becomes 0x5",
		"NumberOfPages at 0x90: 0x1f7e becomes 0x1f7f",
		"Run[1].PageCount at 0xb0: 0x1ee0 becomes 0x1ee1",
		"Context.Rip at 0x440: 0x0 becomes 0xfffff80012345678",
		"Context.FltSave.XmmRegisters[1].High at 0x500: 0x0 becomes 0x7",
		"Exception.ExceptionCode at 0xf00: 0x0 becomes 0x80000003",
		"Exception.ExceptionFlags at 0xf04: 0x0 becomes 0x1",
		"Exception.ExceptionAddress at 0xf10: 0x0 becomes 0xfffff80012345678",
		"Comment at 0xfb0: 50 41 47 45 50 41 47 45 becomes 78 00 47 45 50 41 47 45",
	}, texts)
	assert.Equal(t, []FieldDiff{{Field: "Format", From: "x64", To: "x86"}}, Diff(a, goodHeader32()))
}

// TestDiffSeesEveryByte: no byte of a header is outside the fields.
func TestDiffSeesEveryByte(t *testing.T) {
	t.Parallel()
	for _, f := range Formats() {
		at := 0
		for _, leaf := range f.leaves() {
			require.Equal(t, at, leaf.Offset, leaf.Name)
			at = leaf.End()
		}
		assert.Equal(t, f.Size(), at)
	}
}
