package convert_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/internal/guestsim"
	"windmp/physmem/open"
)

// exampleCore is a file to convert: a synthetic guest's, which an example can
// carry with it.
func exampleCore() (dir, core string) {
	dir, err := os.MkdirTemp("", "windmp")
	if err != nil {
		panic(err)
	}
	core = filepath.Join(dir, "guest.vmcore")
	if err := os.WriteFile(core, guestsim.New(guestsim.Options{CPUs: 2}).ELF(), 0o600); err != nil {
		panic(err)
	}
	return dir, core
}

// Convert a file and look at the outcome.
func ExampleFile() {
	dir, core := exampleCore()
	defer os.RemoveAll(dir)

	report, err := convert.File(context.Background(), core, filepath.Join(dir, "guest.dmp"), convert.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Verdict, report.Output.DumpType, report.Guest.NumberProcessors)
	// Output: OK full 2
}

// Look at a guest without converting it.
func Example_find() {
	dir, core := exampleCore()
	defer os.RemoveAll(dir)

	image, err := open.File(context.Background(), core, open.Options{})
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
	fmt.Println(g.Header().MinorVersion, g.Origin().KDBG, g.Modules()[0].Name)
	// Output: 19041 header ntoskrnl.exe
}
