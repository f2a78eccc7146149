package winhdr

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/winhdr/fields"
	"windmp/winhdr/problem"
)

var rangeLayout = []layoutRow{
	{"Marker", 0x00, "kdmp-parser"},
	{"Signature", 0x04, "kdmp-parser"},
	{"ValidDump", 0x08, "kdmp-parser"},
	{"Unused", 0x0c, "kdmp-parser"},
	{"MetadataSize", 0x10, "kdmp-parser"},
	{"FirstPage", 0x18, "kdmp-parser"},
	{"Ranges", 0x20, "kdmp-parser"},
	{"Unknown", 0x24, "kdmp-parser"},
	{"Pages", 0x28, "kdmp-parser"},
}

func TestRangeDump(t *testing.T) {
	t.Parallel()
	ranges := RangeDump64{
		Marker: rangeMarker, Signature: SignatureRDMP, ValidDump: ValidDumpDUMP,
		MetadataSize: 0xfe0, FirstPage: 0x3000, Ranges: 2, Pages: 0x37e,
	}
	b := ranges.Encode()
	assert.Equal(t, "\x40\x00\x00\x00RDMPDUMP", string(b[:12]))
	got, err := DecodeRangeDump64(b)
	require.NoError(t, err)
	assert.Equal(t, &ranges, got)
	_, err = DecodeRangeDump64(b[1:])
	var size *fields.SizeError
	require.ErrorAs(t, err, &size)
	entry := make([]byte, RangeSize)
	entry[1], entry[8] = 1, 0xe0
	assert.Equal(t, physmem.Run{BasePage: 0x100, PageCount: 0xe0}, DecodeRange(entry))
}

func TestListsPages(t *testing.T) {
	t.Parallel()
	for typ, want := range map[DumpType][2]bool{
		DumpTypeFull: {}, DumpTypeUnset: {}, DumpTypeHeader: {}, DumpTypeTriage: {}, DumpTypeAutomatic: {},
		DumpTypeSummary: {true, false}, DumpTypeBitmapFull: {true, false}, DumpTypeBitmapKernel: {true, false},
		DumpTypeLiveKernel: {true, true}, DumpTypeLiveKernelUser: {true, true}, DumpTypeLiveComplete: {true, true},
	} {
		assert.Equal(t, want, [2]bool{typ.ListsPages(), typ.listsRanges()}, typ.String())
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	assert.True(t, (AttributeEncrypted | AttributeNoRoom).Has(AttributeEncrypted))
	assert.False(t, AttributeNoRoom.Has(AttributeEncrypted))
	assert.False(t, Attributes(problem.Fill).Has(AttributeEncrypted), "never set")
}
