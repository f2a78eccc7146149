package qemutest

import "testing"

// Image returns the flat multiboot image of the 64-bit guest, for a machine that somebody
// else starts; such a machine has the device vmcoreinfo, and the guest's words on the
// kernel's command line.
func Image(tb testing.TB) []byte {
	tb.Helper()
	kind := guestKinds[false][false]
	requireTools(tb, kind.tools()...)
	b, err := kind.made()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
