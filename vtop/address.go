package vtop

import "fmt"

// VA is a guest-virtual address.
type VA uint64

// PA is a guest-physical address.
type PA uint64

// String formats as WinDbg does: fffff800`12345678.
func (va VA) String() string { return windbg(uint64(va)) }

// String formats as WinDbg does: 00000001`12345678.
func (pa PA) String() string { return windbg(uint64(pa)) }

func windbg(v uint64) string {
	return fmt.Sprintf("%08x`%08x", v>>32, v&0xffff_ffff)
}
