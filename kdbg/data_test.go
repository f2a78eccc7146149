package kdbg

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/kdbg/wire"
)

// flatten lists a struct's leaf fields by their path, with offset and size.
func flatten(typ reflect.Type, prefix string, base uintptr, out map[string][2]uint64) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name := prefix + f.Name
		if f.Name == "_" {
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			flatten(f.Type, name+".", base+f.Offset, out)
			continue
		}
		out[name] = [2]uint64{uint64(base + f.Offset), uint64(f.Type.Size())}
	}
}

func fieldsOf(v any) map[string][2]uint64 {
	out := map[string][2]uint64{}
	flatten(reflect.TypeOf(v), "", 0, out)
	return out
}

// TestDataLayout holds Data against the field table, in both directions.
func TestDataLayout(t *testing.T) {
	t.Parallel()
	fields := fieldsOf(wire.Data{})
	for _, row := range guestsim.KDBGFields() {
		name := row.Name
		if row.Offset < headSize {
			name = "Header." + name
		}
		got, ok := fields[name]
		if assert.True(t, ok, "no field %s", name) {
			assert.Equal(t, [2]uint64{row.Offset, row.Size}, got, name)
		}
		delete(fields, name)
	}
	assert.Equal(t, map[string][2]uint64{
		"L1tfHighPhysicalBitIndex": {0x2c2, 1}, // wdbgexts.h; not in the table
		"L1tfSwizzleBitIndex":      {0x2c3, 1},
	}, fields)
	assert.Equal(t, 0x3a8, binary.Size(wire.Data{}))
}

// TestRealBlocks decodes the blocks of real dumps and looks at every field.
func TestRealBlocks(t *testing.T) {
	t.Parallel()
	const base = 0xfffff8031f400000
	for _, build := range guestsim.Builds {
		d := reflect.ValueOf(wire.Decode(guestsim.KDBGBlock(build, base)))
		for _, row := range guestsim.KDBGFields() {
			want, _ := row.Value(build, base)
			v := d
			if row.Offset < headSize {
				v = v.FieldByName("Header")
			}
			for part := range strings.SplitSeq(row.Name, ".") {
				v = v.FieldByName(part)
			}
			require.Equal(t, want, v.Uint(), "build %d, %s", build, row.Name)
		}
	}
}

// TestWireLayouts proves the offsets of KUSER_SHARED_DATA: as in ntddk.h.
func TestWireLayouts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		v    any
		size int
		want map[string]uint64
	}{
		{"KUSER_SHARED_DATA", sharedUserData{}, sharedUserDataSize, map[string]uint64{
			"InterruptTime.LowPart": 0x8, "InterruptTime.High1Time": 0xc, "InterruptTime.High2Time": 0x10,
			"SystemTime.LowPart": 0x14, "SystemTime.High1Time": 0x18, "SystemTime.High2Time": 0x1c,
			"NtSystemRoot": 0x30, "NtBuildNumber": 0x260, "NtProductType": 0x264, "NtMajorVersion": 0x26c, "NtMinorVersion": 0x270,
			"BootID": 0x2c4, "SuiteMask": 0x2d0, "KdDebuggerEnabled": 0x2d4, "NumberOfPhysicalPages": 0x2e8,
			"TickCount.LowPart": 0x320, "TickCount.High1Time": 0x324, "TickCount.High2Time": 0x328, "ActiveProcessorCount": 0x3c0,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := map[string]uint64{}
			for name, f := range fieldsOf(tt.v) {
				got[name] = f[0]
			}
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.size, binary.Size(tt.v))
			assert.Equal(t, tt.size, int(reflect.TypeOf(tt.v).Size()))
		})
	}
}
