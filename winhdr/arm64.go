package winhdr

import (
	"windmp/winhdr/fields"
	"windmp/winhdr/wincontext"
)

// ARM64 is the 64-bit dump header with the CONTEXT of 64-bit Arm. The header is in
// every byte that of x64 (seen in a dump that Windows 11, build 22000, wrote).
var ARM64 = &Format{
	Name: "arm64", Title: "64-bit Arm", Qualifier: "Arm64",
	Machine: wincontext.MachineARM64, ValidDump: ValidDumpDU64,
	Header:      X64.Header,
	LeastSize:   X64.LeastSize,
	Padding:     X64.Padding,
	SummarySize: SummaryDumpSize64,
	// As x64's, and the engine has the KPRCB at the same place (observed with
	// 10.0.10240).
	Triage:        triage64,
	MaxProcessors: X64.MaxProcessors,
	// The first release for Arm64, Windows 10 1709.
	MinBuild: 16299,
	PFNLimit: pfnLimitARM64, PFNReason: "physical addresses having 48 bits",
	PointerSize: 8,
	KernelStart: wincontext.KernelStartARM64,
	TableBase:   tableBaseARM64,
	Registers:   fields.Of[wincontext.ContextARM64](), DecodeContext: decoder(wincontext.DecodeContextARM64),
}

const (
	// pfnLimitARM64: an entry of a page table with granules of 4 KiB has 48 bits of an
	// address (Arm ARM, D8.3), but with FEAT_LPA2, which Windows is not known to use.
	pfnLimitARM64 = 1 << (48 - 12)
)

// tableBaseARM64: bits 12-47 of TTBR0_EL1 are the address; above them is the ASID, and
// bit 0 says whether others share the tables (Arm ARM, TTBR0_EL1). Microsoft's debugger
// engine 10.0.10240 reads nothing with an ASID.
func tableBaseARM64(h *Header) uint64 {
	return h.DirectoryTableBase & ((pfnLimitARM64 - 1) << 12)
}
