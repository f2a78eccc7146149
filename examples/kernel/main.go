// Kernel goes by hand from a file to the names of the kernel's modules: physical
// memory, the dump header, virtual addresses, the kernel's debugger data block.
// docs/guides/library.md walks through it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"windmp/convert/machine"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/vtop"
	"windmp/winhdr"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kernel FILE")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run prints the modules of the Windows in a file whose header says where it is.
func run(ctx context.Context, w io.Writer, path string) (err error) {
	// Physical memory: the image is an io.ReaderAt by guest-physical address.
	image, err := open.File(ctx, path, open.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, image.Close()) }()

	header, err := findHeader(image)
	if err != nil {
		return err
	}
	kernel, err := findKernel(image, header)
	if err != nil {
		return err
	}
	modules, err := kernel.Modules() // what was read before an error is in it
	for _, m := range modules {
		// A virtual address, to a physical one, to a place in the file.
		at, err := kernel.Space.Translate(m.Base)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%v at %v %s\n", m.Base, at.PA, m.Name); err != nil {
			return err
		}
	}
	return err
}

// findHeader returns the dump header: a dump's own, or what the guest's driver left
// with its host.
func findHeader(image *physmem.Image) (*winhdr.Header, error) {
	raw := image.DumpHeader()
	if note := image.GuestNote(); raw == nil && note != nil {
		raw = note.Desc
	}
	if raw == nil {
		return nil, errors.New("no header says where Windows is; package convert/guest searches")
	}
	return winhdr.Decode(raw)
}

// findKernel reads the kernel's debugger data block, through the page tables that the
// header names. Which of its machine's paging modes they have is seen by trying.
func findKernel(image *physmem.Image, h *winhdr.Header) (*kdbg.Kernel, error) {
	m := machine.ByFormat(h.Format(), machine.All())
	expect := kdbg.Expect{PsLoadedModuleList: vtop.VA(h.PsLoadedModuleList)}
	at := vtop.VA(h.KdDebuggerDataBlock)
	var failed error
	for _, mode := range m.Modes {
		memory := m.Memory(vtop.NewSpace(image, h.DirectoryTableBase, mode))
		kernel, err := memory.Read(at, expect)
		if errors.Is(err, kdbg.ErrNotFound) { // Windows encodes it when no debugger is there
			kernel, err = memory.Decode(at, expect)
		}
		if err == nil {
			return kernel, nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", mode.Name, err))
	}
	return nil, failed
}
