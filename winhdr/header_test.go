package winhdr

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHeaderRoundTrip: whatever the bytes are, decoding and encoding changes none.
func TestHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{Size64, Size32} {
		raw := make([]byte, size)
		for i := range raw {
			raw[i] = byte(r.Uint32())
		}
		h, err := DecodeHeader(raw)
		require.NoError(t, err)
		assert.Equal(t, size == Size32, h.Is32())
		assert.Equal(t, size, h.Size())
		assert.Equal(t, raw, h.Encode())
		assert.Equal(t, raw, h.Clone().Encode())
	}
	_, err := DecodeHeader(make([]byte, 0x1800))
	var wrong *SizeError
	require.ErrorAs(t, err, &wrong)
}

// TestHeaderFields: each field of Header stands in one of the layouts at least, and
// changes these bytes only.
func TestHeaderFields(t *testing.T) {
	t.Parallel()
	for _, is32 := range []bool{false, true} {
		blank := NewHeader(is32)
		before := blank.Encode()
		fields := reflect.TypeOf(*blank)
		seen := 0
		for i := range fields.NumField() {
			f := fields.Field(i)
			if !f.IsExported() {
				continue
			}
			_, in64 := reflect.TypeFor[Header64]().FieldByName(f.Name)
			_, in32 := reflect.TypeFor[Header32]().FieldByName(f.Name)
			assert.True(t, in64 || in32, f.Name)
			in, ok := reflect.TypeOf(blank.layout()).Elem().FieldByName(f.Name)
			if !ok {
				assert.Zero(t, blank.Offset(f.Name))
				continue
			}
			assert.EqualValues(t, in.Offset, blank.Offset(f.Name))
			h := blank.Clone()
			v := reflect.ValueOf(h).Elem().Field(i)
			if v.Kind() == reflect.Array {
				v = v.Index(v.Len() - 1)
			}
			v.SetUint(^v.Uint() & (1<<v.Type().Bits() - 1))
			after := h.Encode()
			require.False(t, bytes.Equal(before, after), f.Name)
			at, end := int(in.Offset), int(in.Offset+in.Type.Size())
			assert.Equal(t, before[:at], after[:at], f.Name)
			assert.Equal(t, before[end:], after[end:], f.Name)
			seen++
		}
		assert.Greater(t, seen, 20)
		assert.Equal(t, before, blank.Encode(), "a clone shares nothing")
	}
}

func TestNewHeader(t *testing.T) {
	t.Parallel()
	for _, is32 := range []bool{false, true} {
		h := NewHeader(is32)
		assert.Equal(t, is32, h.Is32())
		assert.Equal(t, h.Machine(), h.MachineImageType)
		assert.Equal(t, ValidDumpOf(is32), h.ValidDump)
		assert.Equal(t, DumpTypeFull, h.DumpType)
		assert.Zero(t, h.ListedPages())
		assert.Equal(t, Fill, h.SuiteMask)
		require.Error(t, h.Context().Plausible())
		runs := make([]PhysicalMemoryRun64, h.MaxRuns())
		for i := range runs {
			runs[i] = PhysicalMemoryRun64{BasePage: uint64(2 * i), PageCount: 1}
		}
		require.NoError(t, h.SetRuns(runs))
		got, problems := h.Runs()
		assert.Equal(t, runs, got)
		assert.Empty(t, problems)
		assert.EqualValues(t, h.MaxRuns(), h.ListedPages())
		require.Error(t, h.SetRuns(append(runs, PhysicalMemoryRun64{BasePage: 1000, PageCount: 1})))
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	wide, narrow := NewHeader(false), NewHeader(true)
	wide.Show(&Context64{Rip: 0x1234567890, Rsp: 5, SegCs: kernelCS}, 1)
	assert.Equal(t, uint64(0x1234567890), wide.Context().IP())
	assert.EqualValues(t, 5, wide.Context().SP())
	assert.Equal(t, kernelCS, wide.Context().CodeSegment())
	assert.Equal(t, ExceptionRecord64{ExceptionCode: StatusBreakpoint, ExceptionFlags: 1, ExceptionAddress: 0x1234567890}, wide.wide.Exception)
	narrow.Show(&Context32{Eip: 0x87654321, Esp: 6, SegCs: 0x8}, 0)
	assert.Equal(t, uint64(0x87654321), narrow.Context().IP())
	assert.EqualValues(t, 6, narrow.Context().SP())
	assert.EqualValues(t, 8, narrow.Context().CodeSegment())
	assert.Equal(t, ExceptionRecord32{ExceptionCode: StatusBreakpoint, ExceptionAddress: 0x87654321}, narrow.narrow.Exception)
	for _, is32 := range []bool{false, true} {
		c, err := DecodeContext(make([]byte, ContextSize(is32)))
		require.NoError(t, err)
		assert.Len(t, c.Encode(), ContextSize(is32))
	}
	c, err := DecodeContext(make([]byte, 1))
	assert.Nil(t, c)
	require.Error(t, err)
}

func TestClearAlignment(t *testing.T) {
	t.Parallel()
	h := NewHeader(false)
	h.wide.PhysicalMemory.Unused, h.wide.PadF9C = Fill, [4]byte{1}
	h.ClearAlignment()
	assert.Zero(t, h.wide.PhysicalMemory.Unused)
	assert.Zero(t, h.wide.PadF9C)
	NewHeader(true).ClearAlignment()
}
