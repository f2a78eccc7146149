package winhdr

import "windmp/physmem"

// PageSize is physmem's.
const PageSize = physmem.PageSize

// PhysicalMemoryRun64 is physmem's.
type PhysicalMemoryRun64 = physmem.Run

// MaxRuns is Format.MaxRuns.
func (h *Header) MaxRuns() int { return h.format.MaxRuns() }

// MaxProcessors is Format.MaxProcessors.
func (h *Header) MaxProcessors() int { return h.format.MaxProcessors }

// MinBuild is Format.MinBuild.
func (h *Header) MinBuild() uint32 { return h.format.MinBuild }

// Machine is Format.Machine.
func (h *Header) Machine() uint32 { return h.format.Machine }
