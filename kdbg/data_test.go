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

// TestWireLayouts proves the offsets of the other structures: KSPECIAL_REGISTERS
// as in Volatility's profiles, WinDbg's engine reads it at the same places;
// KUSER_SHARED_DATA as in ntddk.h.
func TestWireLayouts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		v    any
		size int
		want map[string]uint64
	}{
		{"KSPECIAL_REGISTERS", specials64{}, 0xd8, map[string]uint64{
			"Cr0": 0, "Cr2": 8, "Cr3": 0x10, "Cr4": 0x18,
			"KernelDr0": 0x20, "KernelDr1": 0x28, "KernelDr2": 0x30, "KernelDr3": 0x38, "KernelDr6": 0x40, "KernelDr7": 0x48,
			"Gdtr.Pad": 0x50, "Gdtr.Limit": 0x56, "Gdtr.Base": 0x58, "Idtr.Pad": 0x60, "Idtr.Limit": 0x66, "Idtr.Base": 0x68,
			"Tr": 0x70, "Ldtr": 0x72, "MxCsr": 0x74, "DebugControl": 0x78,
			"LastBranchToRip": 0x80, "LastBranchFromRip": 0x88, "LastExceptionToRip": 0x90, "LastExceptionFromRip": 0x98,
			"Cr8": 0xa0, "MsrGsBase": 0xa8, "MsrGsSwap": 0xb0, "MsrStar": 0xb8, "MsrLStar": 0xc0, "MsrCStar": 0xc8, "MsrSyscallMask": 0xd0,
		}},
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
