package winhdr

import (
	"fmt"

	"windmp/winhdr/problem"
)

// Attributes is Header64.Attributes: how Windows wrote the dump. Debuggers take no
// notice of it.
type Attributes uint32

// Some of the attributes (DUMP_FILE_ATTRIBUTES of Microsoft mindumpdef.h).
const (
	// AttributeNoRoom: the file had less room than the dump needed.
	AttributeNoRoom Attributes = 1 << 2
	// AttributeOffline: neither Windows' crash nor its live-dump code wrote the file.
	AttributeOffline Attributes = 1 << 5
	// AttributeEncrypted: what follows the header is encrypted.
	AttributeEncrypted Attributes = 1 << 8
	// AttributeDecrypted: it was encrypted, and is decrypted.
	AttributeDecrypted Attributes = 1 << 9
)

// Has reports whether all bits of want are set. Nothing is in a field that was never
// set, which holds Fill.
func (a Attributes) Has(want Attributes) bool { return a != Attributes(problem.Fill) && a&want == want }

// DumpType is Header64.DumpType: how the pages of the file are laid out.
type DumpType uint32

// Dump types (DUMP_TYPE_* of Microsoft mindumpdef.h; 8 to 0xa from kdmp-parser).
const (
	// DumpTypeFull is a dump whose run table is the layout of the file.
	DumpTypeFull DumpType = 1
	// DumpTypeSummary is the kernel dump of old Windows versions.
	DumpTypeSummary DumpType = 2
	// DumpTypeHeader is a header without memory.
	DumpTypeHeader DumpType = 3
	// DumpTypeTriage is a "small memory dump".
	DumpTypeTriage DumpType = 4
	// DumpTypeBitmapFull is a full dump whose pages a bitmap lists.
	DumpTypeBitmapFull DumpType = 5
	// DumpTypeBitmapKernel is the same with the kernel's pages only.
	DumpTypeBitmapKernel DumpType = 6
	// DumpTypeAutomatic is a setting of Windows. Files made under it have
	// DumpTypeBitmapKernel.
	DumpTypeAutomatic DumpType = 7
	// DumpTypeLiveKernel is what WinDbg's ".dump /k" writes.
	DumpTypeLiveKernel DumpType = 8
	// DumpTypeLiveKernelUser is what WinDbg's ".dump /ka" writes.
	DumpTypeLiveKernelUser DumpType = 9
	// DumpTypeLiveComplete is what WinDbg's ".dump /f" writes.
	DumpTypeLiveComplete DumpType = 0xa
	// DumpTypeUnset is the fill pattern. Microsoft's debugger engine takes
	// it for DumpTypeFull (observed with 10.0.10240).
	DumpTypeUnset = DumpType(problem.Fill)
)

// String names the type in a word or two.
func (t DumpType) String() string {
	switch t {
	case DumpTypeFull:
		return "full"
	case DumpTypeSummary:
		return "summary"
	case DumpTypeHeader:
		return "header only"
	case DumpTypeTriage:
		return "triage"
	case DumpTypeBitmapFull:
		return "bitmap full"
	case DumpTypeBitmapKernel:
		return "bitmap kernel"
	case DumpTypeAutomatic:
		return "automatic"
	case DumpTypeLiveKernel:
		return "live kernel"
	case DumpTypeLiveKernelUser:
		return "live kernel and user"
	case DumpTypeLiveComplete:
		return "live complete"
	case DumpTypeUnset:
		return "unset"
	}
	return fmt.Sprintf("unknown (%d)", uint32(t))
}
