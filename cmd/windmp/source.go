package main

import (
	"cmp"

	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/convert/guest"
	"windmp/convert/source"
)

// sourceFlags are the flags of the commands that only look: what the file does
// not say of itself.
type sourceFlags struct {
	input                 inputFlags
	limits                limitFlags
	dtb, kernelBase, kdbg flagvalue.Address
}

func (f *sourceFlags) register(fs *pflag.FlagSet) {
	f.registerInput(fs)
	fs.Var(&f.dtb, "dtb", "physical address of the kernel's page tables (CR3), if windmp does not find them")
}

// registerInput leaves out --dtb.
func (f *sourceFlags) registerInput(fs *pflag.FlagSet) {
	f.input.register(fs)
	fs.Var(&f.kernelBase, "kernel-base", "virtual address of ntoskrnl's image, if windmp does not find it")
	fs.Var(&f.kdbg, "kdbg", "virtual address of KDDEBUGGER_DATA64, likewise")
}

// prepare turns the flags of a command that looks at one file into options, once
// it is known that its report can be written.
func (a *app) prepare(f *sourceFlags, path string) (source.Options, guest.Options, error) {
	if err := cmp.Or(refuseStdin(path), a.checkReport(path)); err != nil {
		return source.Options{}, guest.Options{}, err
	}
	source, guest, err := f.options()
	source.Progress = a.startProgress(false)
	guest.Progress = source.Progress
	source.Whole = toldFor(path, a.tellWhole(false))
	guest.Whole = source.Whole
	return source, guest, err
}

func (f *sourceFlags) options() (source.Options, guest.Options, error) {
	from, err := f.input.source()
	if err != nil {
		return source.Options{}, guest.Options{}, err
	}
	from.Limits, err = f.limits.limits()
	return from, guest.Options{DTB: uint64(f.dtb), KernelBase: uint64(f.kernelBase), KDBG: uint64(f.kdbg)}, err
}
