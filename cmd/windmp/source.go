package main

import (
	"github.com/spf13/pflag"

	"windmp/convert"
)

// sourceFlags are the flags of the commands that only look: what the file does
// not say of itself.
type sourceFlags struct {
	input                 inputFlags
	dtb, kernelBase, kdbg address
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
func (a *app) prepare(f *sourceFlags, path string) (convert.Options, error) {
	if err := a.checkReport(path); err != nil {
		return convert.Options{}, err
	}
	opt, err := f.options()
	opt.Progress = a.startProgress(false)
	return opt, err
}

func (f *sourceFlags) options() (convert.Options, error) {
	input, err := f.input.options()
	return convert.Options{Input: input, DTB: uint64(f.dtb), KernelBase: uint64(f.kernelBase), KDBG: uint64(f.kdbg)}, err
}
