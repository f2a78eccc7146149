package convert_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/physmem/open"
)

// Convert a file and look at the outcome.
func ExampleFile() {
	dir, err := os.MkdirTemp("", "windmp")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	out := filepath.Join(dir, "guest.dmp")
	report, err := convert.File(context.Background(), "../testdata/guest-bsod.vmcore", out, convert.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Verdict, report.Output.DumpType, report.Guest.NumberProcessors)
	// Output: OK full 2
}

// The stages by themselves: look at a guest and at what would be written of it.
func Example_stages() {
	image, err := open.File(context.Background(), "../testdata/guest-bsod.vmcore", open.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer image.Close()
	g, err := guest.Find(context.Background(), image, guest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(g.Machine().Name(), g.Header().MinorVersion, g.Origin().KDBG, g.Modules()[0].Name)
	p, err := plan.New(context.Background(), g, plan.Options{Type: plan.OutputKernel})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(p.Edits()), "edits,", p.Layout().Size(), "bytes")
	// Output:
	// x64 19041 header ntoskrnl.exe
	// 0 edits, 2162688 bytes
}
