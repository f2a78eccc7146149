// Command mkbig writes a memory image of many GiB for scripts/bench: a small guest,
// a synthetic one or a core that is given, extended by one run of memory that
// resembles a guest's.
//
//	go run ./scripts/mkbig -gib 4 big.vmcore
//	go run ./scripts/mkbig -gib 4 -kdump big.kdump
//	go run ./scripts/mkbig -gib 1024 -data 1 sparse.vmcore
//	go run ./scripts/mkbig -gib 16 -core guest.vmcore big.vmcore
package main

import (
	"flag"
	"fmt"
	"os"

	"windmp/internal/guestsim"
)

// maxGiB keeps a slip of the finger from filling a disk.
const maxGiB = 1024

// options say what to write.
type options struct {
	core       string // the vmcore to extend, "" for a synthetic guest
	noNote     bool   // the synthetic guest left no header note
	kdump      bool
	size, data uint64 // bytes that are added, and how many of them are no holes
}

func main() {
	gib := flag.Uint64("gib", 4, "size of the added memory in GiB")
	data := flag.Uint64("data", 0, "GiB of it that are no holes (default: all)")
	core := flag.String("core", "", "the vmcore to extend (default: a synthetic guest)")
	noNote := flag.Bool("nonote", false, "a synthetic guest without the header note and vCPUs: only a search finds it")
	kdump := flag.Bool("kdump", false, "write a kdump-compressed file with zlib pages")
	flag.Parse()
	if *data == 0 {
		*data = *gib
	}
	if flag.NArg() != 1 || *gib == 0 || *gib > maxGiB || *data > *gib {
		fmt.Fprintln(os.Stderr, "usage: mkbig [-gib 1..1024] [-data GIB] [-core FILE | -nonote] [-kdump] OUT")
		os.Exit(2)
	}
	opt := options{core: *core, noNote: *noNote, kdump: *kdump, size: *gib << 30, data: *data << 30}
	if err := run(flag.Arg(0), opt); err != nil {
		fmt.Fprintln(os.Stderr, "mkbig:", err)
		os.Exit(1)
	}
}

// run writes the file named to.
func run(to string, opt options) error {
	sim := guestsim.Options{CPUs: 2}
	sim.File.NoGuestNote, sim.File.NoCPUNotes = opt.noNote, opt.noNote
	core := guestsim.New(sim).ELF()
	if opt.core != "" {
		var err error
		if core, err = os.ReadFile(opt.core); err != nil {
			return err
		}
	}
	head, err := grow(core, opt.size, opt.noNote)
	if err != nil {
		return err
	}
	big := &bigCore{head: head, size: opt.size, data: opt.data}
	write := writeCore
	if opt.kdump {
		write = writeKdump
	}
	return create(to, func(f *os.File) error { return write(f, big) })
}
