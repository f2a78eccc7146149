package winhdr

import "windmp/physmem"

// PageSize is physmem's.
const PageSize = physmem.PageSize

// PhysicalMemoryRun64 is physmem's.
type PhysicalMemoryRun64 = physmem.Run

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
