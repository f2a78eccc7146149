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
	// MaxRuns64 and MaxRuns32 are Format.MaxRuns.
	MaxRuns64, MaxRuns32 = maxRuns64, maxRuns32
	// MaxPFN is Format.PFNLimit.
	MaxPFN = pfnLimit64
)

// MaxRuns is Format.MaxRuns.
func (h *Header) MaxRuns() int { return h.format.MaxRuns() }

// MaxProcessors is Format.MaxProcessors.
func (h *Header) MaxProcessors() int { return h.format.MaxProcessors }

// MinBuild is Format.MinBuild.
func (h *Header) MinBuild() uint32 { return h.format.MinBuild }

// Machine is Format.Machine.
func (h *Header) Machine() uint32 { return h.format.Machine }
