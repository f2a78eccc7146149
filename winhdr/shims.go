package winhdr

// PageSize is the unit of every page count here, in bytes.
const PageSize = 0x1000

// PhysicalMemoryRun64 are pages that follow each other in guest-physical memory.
type PhysicalMemoryRun64 struct {
	BasePage  uint64 // page frame number of the first page
	PageCount uint64 // pages
}

// End is the page after the run.
func (r PhysicalMemoryRun64) End() uint64 { return r.BasePage + r.PageCount }

type (
	pageRun  = PhysicalMemoryRun64
	pageRuns = []PhysicalMemoryRun64
)

func sumPages(runs []PhysicalMemoryRun64) uint64 {
	var sum uint64
	for _, run := range runs {
		sum += run.PageCount
	}
	return sum
}

const (
	// Size64 is the size of X64's header, Size32 that of X86's.
	Size64, Size32 = 0x2000, 0x1000
	// BitmapOffset is Size64.
	BitmapOffset = Size64
	// MaxRuns64 and MaxRuns32 are Format.MaxRuns.
	MaxRuns64, MaxRuns32 = maxRuns64, maxRuns32
	// MaxPFN and MaxPFN32 are Format.PFNLimit.
	MaxPFN, MaxPFN32 = pfnLimit64, pfnLimit32
)

// FormatOf is the format of a width.
func FormatOf(is32 bool) *Format {
	if is32 {
		return X86
	}
	return X64
}

// HeaderSize is Format.Size.
func HeaderSize(is32 bool) int { return FormatOf(is32).Size() }

// ContextSize is the size of Format.Registers.
func ContextSize(is32 bool) int { return FormatOf(is32).Registers.Size() }

// ValidDumpOf is Format.ValidDump.
func ValidDumpOf(is32 bool) uint32 { return FormatOf(is32).ValidDump }

// NewHeader is Format.New.
func NewHeader(is32 bool) *Header { return FormatOf(is32).New() }

// DecodeHeader is Format.Decode of the format that has the size of b.
func DecodeHeader(b []byte) (*Header, error) { return FormatOf(len(b) == Size32).Decode(b) }

// DecodeContext is Format.DecodeContext of the format whose CONTEXT has the size of b.
func DecodeContext(b []byte) (Context, error) {
	return FormatOf(len(b) == ContextSize32).DecodeContext(b)
}

// Is32 tells whether it is X86.
func (h *Header) Is32() bool { return h.format == X86 }

// MaxRuns is Format.MaxRuns.
func (h *Header) MaxRuns() int { return h.format.MaxRuns() }

// MaxProcessors is Format.MaxProcessors.
func (h *Header) MaxProcessors() int { return h.format.MaxProcessors }

// MinBuild is Format.MinBuild.
func (h *Header) MinBuild() uint32 { return h.format.MinBuild }

// Machine is Format.Machine.
func (h *Header) Machine() uint32 { return h.format.Machine }

// ListedPages is RunTable.Pages.
func (h *Header) ListedPages() uint64 { return h.RunTable().Pages }

// CodeSegment is SegCs.
func (c *Context64) CodeSegment() uint16 { return c.SegCs }

// CodeSegment is SegCs.
func (c *Context32) CodeSegment() uint16 { return uint16(c.SegCs & 0xffff) }
