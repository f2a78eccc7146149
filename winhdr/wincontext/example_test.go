package wincontext_test

import (
	"fmt"

	"windmp/winhdr/wincontext"
)

// A context that Windows saved is told from memory that was never written.
func ExampleContext64_PlausibleSaved() {
	var never wincontext.Context64
	fmt.Println(never.PlausibleSaved())

	saved := wincontext.Context64{
		ContextFlags: wincontext.ContextControl | wincontext.ContextInteger,
		SegCs:        0x10,
		SegSs:        0x18,
		EFlags:       0x246,
		Rip:          0xfffff8000a3fd0a0,
		Rsp:          0xffffb50f1c2f6a58,
	}
	fmt.Println(saved.PlausibleSaved())
	// Output:
	// ContextFlags at 0x30: got 0x0 (0x0), want at least AMD64|CONTROL|INTEGER, and no other architecture
	// <nil>
}
