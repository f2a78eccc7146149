package sourceflag

import (
	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/cmd/windmp/internal/heading"
	"windmp/convert/guest"
)

// Guest are the flags for what the user knows of the guest.
type Guest struct {
	// DTB is the value of --dtb, an address of physical memory.
	DTB              flagvalue.Address
	kernelBase, kdbg flagvalue.Address
}

// Register adds the flags.
func (f *Guest) Register(fs *pflag.FlagSet) {
	heading.File.Put(fs, func(fs *pflag.FlagSet) {
		fs.Var(&f.DTB, "dtb", "physical address of the kernel's page tables (CR3), if windmp does not find them")
	})
	f.RegisterKernel(fs)
}

// RegisterKernel is Register without --dtb.
func (f *Guest) RegisterKernel(fs *pflag.FlagSet) {
	heading.File.Put(fs, func(fs *pflag.FlagSet) {
		fs.Var(&f.kernelBase, "kernel-base", "virtual address of ntoskrnl's image, if windmp does not find it")
		fs.Var(&f.kdbg, "kdbg", "virtual address of KDDEBUGGER_DATA64, likewise")
	})
}

// Options are the flags as options.
func (f *Guest) Options() guest.Options {
	return guest.Options{DTB: uint64(f.DTB), KernelBase: uint64(f.kernelBase), KDBG: uint64(f.kdbg)}
}
