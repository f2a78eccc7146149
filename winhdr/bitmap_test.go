package winhdr

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	readers = "kdmp-parser, LeechCore, radare2 agree"
	engine  = "dbgeng 10.0.10240 opens it"
)

var bitmapLayout = []layoutRow{
	{"Signature", 0x00, readers + ", " + engine},
	{"ValidDump", 0x04, readers},
	{"DumpOptions", 0x08, "kdmp-parser"},
	{"Unused", 0x0c, readers},
	{"FirstPage", 0x20, readers + ", " + engine},
	{"TotalPresentPages", 0x28, readers + ", " + engine},
	{"BitmapSize", 0x30, readers + ", " + engine},
}

var summaryLayout = []layoutRow{
	{"Signature", 0x00, "Ghidra, " + engine},
	{"ValidDump", 0x04, "Ghidra"},
	{"DumpOptions", 0x08, "Ghidra"},
	{"HeaderSize", 0x0c, "Ghidra, " + engine},
	{"BitmapSize", 0x10, "Ghidra, " + engine},
	{"Pages", 0x14, "Ghidra, " + engine},
	{"SizeOfBitMap", 0x18, "Ghidra"},
	{"UnusedAlign", 0x1c, "Ghidra"},
	{"Buffer", 0x20, "Ghidra"},
}

func TestBitmapDumps(t *testing.T) {
	t.Parallel()
	bitmap := BitmapDump64{
		Signature: SignatureFDMP, ValidDump: ValidDumpDUMP,
		FirstPage: 0x3000, TotalPresentPages: 3, BitmapSize: 64,
	}
	b := bitmap.Encode()
	assert.Equal(t, "FDMPDUMP", string(b[:8]))
	assert.EqualValues(t, 0x30, b[0x21])
	got, err := DecodeBitmapDump64(b)
	require.NoError(t, err)
	assert.Equal(t, &bitmap, got)
	_, err = DecodeBitmapDump64(b[1:])
	var size *SizeError
	require.ErrorAs(t, err, &size)
	assert.Equal(t, SizeError{"bitmap header", 0x37, 0x38}, *size)

	summary := SummaryDump64{Signature: SignatureSDMP, ValidDump: ValidDumpDUMP, HeaderSize: 0x4000, BitmapSize: 64, Pages: 5}
	b = summary.Encode()
	assert.Equal(t, "SDMPDUMP", string(b[:8]))
	back, err := DecodeSummaryDump64(b)
	require.NoError(t, err)
	assert.Equal(t, &summary, back)
	_, err = DecodeSummaryDump64(nil)
	require.ErrorAs(t, err, &size)
}
