package unwind

import (
	"windmp/kdbg/peimage"
	"windmp/winhdr/wincontext"
)

// X64 walks the stacks of x64 by unwind data (Microsoft, "x64 exception handling"),
// with the epilogues and chains as dotnet/runtime's unwinder has them
// (src/coreclr/unwinder/amd64/unwinder.cpp), which Microsoft published.
var X64 = &Method{
	Format: peimage.X64, Trap: trap64,
	pointer: 8, stackPointer: rsp, saved: nonvolatile64,
	fromContext: frame64, step: (*walk).step64, function: (*walk).function64,
	longestCall: longestCallX86, isCall: (*walk).isCallX86, userTrap: (*Method).userTrapX86,
}

// Registers of x64 that are named here.
const (
	rbx, rsp, rbp, rsi, rdi = 3, 4, 5, 6, 7
)

// nonvolatile64 are the registers that a function gives back to its caller: rbx rsp rbp
// rsi rdi r12 to r15.
const nonvolatile64 = 1<<rbx | 1<<rsp | 1<<rbp | 1<<rsi | 1<<rdi | 0xf000

// trap64 is KTRAP_FRAME of x64, as public symbols of all builds have it. Interrupts and
// exceptions save no Rbx, Rdi and Rsi in it: only system calls do.
var trap64 = TrapLayout{
	Size: 0x190, PC: 0x168, Code: 0x170, Flags: 0x178, SP: 0x180,
	Registers: []TrapRegister{
		{0, 0x30}, {1, 0x38}, {2, 0x40}, {8, 0x48}, {9, 0x50}, {10, 0x58}, {11, 0x60}, {rbp, 0x158},
	},
	KernelCode: 0x10, UserCode: []uint16{0x33, 0x23}, // the latter for 32-bit code
}

// frame64 takes all registers of a CONTEXT.
func frame64(c wincontext.Context) (Frame, bool) {
	x, ok := c.(*wincontext.Context64)
	if !ok {
		return Frame{}, false
	}
	return frameOf(x.Rip, x.SegCs&3 != 0,
		x.Rax, x.Rcx, x.Rdx, x.Rbx, x.Rsp, x.Rbp, x.Rsi, x.Rdi,
		x.R8, x.R9, x.R10, x.R11, x.R12, x.R13, x.R14, x.R15), true
}
