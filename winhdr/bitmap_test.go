package winhdr

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr/fields"
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
	got, err := fields.Decode[BitmapDump64]("bitmap header", b, BitmapDumpSize64)
	require.NoError(t, err)
	assert.Equal(t, &bitmap, got)
	_, err = fields.Decode[BitmapDump64]("bitmap header", b[1:], BitmapDumpSize64)
	var size *fields.SizeError
	require.ErrorAs(t, err, &size)
	assert.Equal(t, fields.SizeError{Structure: "bitmap header", Got: 0x37, Want: 0x38}, *size)

	summary := SummaryDump64{Signature: SignatureSDMP, ValidDump: ValidDumpDUMP, HeaderSize: 0x4000, BitmapSize: 64, Pages: 5}
	b = summary.Encode()
	assert.Equal(t, "SDMPDUMP", string(b[:8]))
}

func TestPageList(t *testing.T) {
	t.Parallel()
	bitmap := (&BitmapDump64{Signature: SignatureFDMP, FirstPage: 0x3000, TotalPresentPages: 3, BitmapSize: 64}).Encode()
	summary := (&SummaryDump64{Signature: SignatureSDMP, HeaderSize: 0x4000, BitmapSize: 65, Pages: 5}).Encode()
	for _, tt := range []struct {
		f    *Format
		typ  DumpType
		b    []byte
		want PageList
	}{
		{X64, DumpTypeBitmapFull, bitmap, PageList{SignatureFDMP, 0x3000, 3, 64, 0x2038, 0x2020, 0x2028, 0x2030}},
		{X86, DumpTypeBitmapKernel, bitmap, PageList{SignatureFDMP, 0x3000, 3, 64, 0x1038, 0x1020, 0x1028, 0x1030}},
		{X64, DumpTypeSummary, summary, PageList{SignatureSDMP, 0x4000, 5, 65, 0x2028, 0x200c, 0x2014, 0x2010}},
		{X86, DumpTypeSummary, summary[:0x20], PageList{SignatureSDMP, 0x4000, 5, 65, 0x1020, 0x100c, 0x1014, 0x1010}},
	} {
		require.Equal(t, len(tt.b), tt.f.PageListSize(tt.typ))
		l, err := tt.f.DecodePageList(tt.typ, tt.b)
		require.NoError(t, err)
		assert.Equal(t, tt.want, *l)
		_, err = tt.f.DecodePageList(tt.typ, tt.b[1:])
		var size *fields.SizeError
		require.ErrorAs(t, err, &size)
		_, err = tt.f.DecodePageList(DumpTypeFull, nil)
		require.ErrorAs(t, err, &size)
	}
}
