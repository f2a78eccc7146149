package winhdr_test

import (
	"fmt"

	"windmp/physmem"
	"windmp/winhdr"
)

// A header as a guest's driver might publish it is decoded, judged, and put
// right. Every byte that is not named here stays as it was.
func Example() {
	published := winhdr.X64.New()
	err := published.SetRuns([]physmem.Run{{BasePage: 0x1, PageCount: 0x9e}, {BasePage: 0x100, PageCount: 0x1ee0}})
	if err != nil {
		fmt.Println(err)
		return
	}
	note := published.Encode()
	copy(note, "EGAP")                              // a damaged signature
	note[winhdr.X64.Offset("NumberOfPages")] = 0x7f // a wrong sum

	h, err := winhdr.Decode(note)
	if err != nil {
		fmt.Println(err)
		return
	}
	before := h.Clone()
	runs, problems := h.Runs()
	for _, p := range problems {
		fmt.Println(p, "- repairable:", p.Repairable)
	}
	if err := h.SetRuns(runs); err != nil {
		fmt.Println(err)
		return
	}
	h.Signature = winhdr.SignaturePAGE
	h.RequiredDumpSpace = 0x1f80000
	for _, d := range winhdr.Diff(before, h) {
		fmt.Println(d)
	}
	// Output:
	// NumberOfPages at 0x90: got 0x1f7f, want 0x1f7e, the sum over the runs - repairable: true
	// Signature at 0x0: 0x50414745 becomes 0x45474150
	// NumberOfPages at 0x90: 0x1f7f becomes 0x1f7e
	// RequiredDumpSpace at 0xfa0: 0x4547415045474150 becomes 0x1f80000
}
