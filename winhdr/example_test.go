package winhdr_test

import (
	"fmt"

	"windmp/winhdr"
)

// A header as a guest's driver might publish it is decoded, judged, and put
// right. Every byte that is not named here stays as it was.
func Example() {
	published := make([]byte, winhdr.Size64)
	winhdr.PageFill(published)

	h, err := winhdr.Decode64(published)
	if err != nil {
		fmt.Println(err)
		return
	}
	h.ValidDump = winhdr.ValidDumpDU64
	h.PhysicalMemory.NumberOfRuns = 3
	h.PhysicalMemory.NumberOfPages = 0x1f7e
	h.PhysicalMemory.Run[0] = winhdr.PhysicalMemoryRun64{BasePage: 0x100, PageCount: 0x1ee0}
	h.PhysicalMemory.Run[1] = winhdr.PhysicalMemoryRun64{BasePage: 0x1, PageCount: 0x9e}
	h.PhysicalMemory.Run[2] = winhdr.PhysicalMemoryRun64{BasePage: 0x100000, PageCount: 0}

	runs, problems := h.Runs()
	for _, p := range problems {
		fmt.Println(p, "- repairable:", p.Repairable)
	}
	if err := h.SetRuns(runs); err != nil {
		fmt.Println(err)
		return
	}
	h.DumpType = winhdr.DumpTypeFull
	h.RequiredDumpSpace = winhdr.Size64 + h.PhysicalMemory.NumberOfPages*winhdr.PageSize

	out := h.Encode()
	fmt.Printf("%s%s, %v dump of 0x%x pages\n", out[:4], out[4:8], h.DumpType, h.PhysicalMemory.NumberOfPages)
	// Output:
	// Run[2].PageCount at 0xc0: got 0x0, want at least one page - repairable: true
	// Run[1].BasePage at 0xa8: got 0x1, want at least 0x100, that of the run before - repairable: true
	// PAGEDU64, full dump of 0x1f7e pages
}

// A context that Windows saved is told from memory that was never written.
func ExampleContext64_PlausibleKernel() {
	var never winhdr.Context64
	fmt.Println(never.PlausibleKernel())

	saved := winhdr.Context64{
		ContextFlags: winhdr.ContextControl | winhdr.ContextInteger,
		SegCs:        0x10,
		SegSs:        0x18,
		EFlags:       0x246,
		Rip:          0xfffff8000a3fd0a0,
		Rsp:          0xffffb50f1c2f6a58,
	}
	fmt.Println(saved.PlausibleKernel())
	// Output:
	// ContextFlags at 0x30: got 0x0 (0x0), want at least AMD64|CONTROL|INTEGER, and no other architecture
	// <nil>
}
