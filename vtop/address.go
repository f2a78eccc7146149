package vtop

import "fmt"

// VA is a guest-virtual address.
type VA uint64

// PA is a guest-physical address.
type PA uint64

// String is 0x and hex digits, as every address is printed: what debuggers and shells
// take as it is.
func (va VA) String() string { return text(uint64(va)) }

// String is as that of VA.
func (pa PA) String() string { return text(uint64(pa)) }

// Format prints as String for %v and %s, and the number for every other verb.
// Without it, %x would be the text in hex digits: fmt prefers String even there.
func (va VA) Format(f fmt.State, verb rune) { format(f, verb, uint64(va)) }

// Format is as that of VA.
func (pa PA) Format(f fmt.State, verb rune) { format(f, verb, uint64(pa)) }

func text(v uint64) string { return fmt.Sprintf("%#x", v) }

func format(f fmt.State, verb rune, v uint64) {
	if verb == 's' || verb == 'v' {
		_, _ = fmt.Fprintf(f, fmt.FormatString(f, 's'), text(v)) // fmt keeps write errors itself
		return
	}
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), v)
}
