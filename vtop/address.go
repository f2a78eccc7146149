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

// Format prints as String for %v and %s, and the number for every other verb.
// Without it, %x would be the text in hex digits: fmt prefers String even there.
func (va VA) Format(f fmt.State, verb rune) { format(f, verb, uint64(va)) }

// Format is as that of VA.
func (pa PA) Format(f fmt.State, verb rune) { format(f, verb, uint64(pa)) }

func windbg(v uint64) string {
	return fmt.Sprintf("%08x`%08x", v>>32, v&0xffff_ffff)
}

func format(f fmt.State, verb rune, v uint64) {
	if verb == 's' || verb == 'v' {
		_, _ = fmt.Fprintf(f, fmt.FormatString(f, 's'), windbg(v)) // fmt keeps write errors itself
		return
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), v)
}
