package kdbg

import (
	"fmt"

	"windmp/kdbg/peimage"
	"windmp/vtop"
)

// Current is what a processor was running.
type Current struct {
	// Thread is the address of the KTHREAD, Process that of the KPROCESS that it
	// was attached to; 0 where following them ended.
	Thread, Process vtop.VA
	// DirectoryTable is KPROCESS.DirectoryTableBase.
	DirectoryTable uint64
}

// CurrentProcess follows a processor's current thread to the directory table
// of its process, as debuggers do for user addresses: KPRCB.CurrentThread,
// KTHREAD.ApcState.Process, KPROCESS.DirectoryTableBase. The error wraps a
// *vtop.FaultError or is a [PointerError], and says which step failed.
func (k *Kernel) CurrentProcess(prcb vtop.VA) (Current, error) {
	var c Current
	d := &k.Data
	var err error
	if c.Thread, err = k.follow("KPRCB.CurrentThread", prcb, d.OffsetPrcbCurrentThread); err != nil {
		return c, err
	}
	if c.Process, err = k.follow("KTHREAD.Process", c.Thread, d.OffsetKThreadApcProcess); err != nil {
		return c, err
	}
	v, err := k.Pointer(c.Process + vtop.VA(d.OffsetEprocessDirectoryTableBase))
	if err != nil {
		return c, fmt.Errorf("KPROCESS.DirectoryTableBase: %w", err)
	}
	c.DirectoryTable = uint64(v)
	return c, nil
}

// follow reads the pointer at an offset that the block states, 0 if it does not.
func (k *Kernel) follow(what string, from vtop.VA, offset uint16) (vtop.VA, error) {
	at := from + vtop.VA(offset)
	v, err := k.Pointer(at)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	if !k.IsKernel(v) || offset == 0 {
		return v, &PointerError{What: what, At: at, Got: v}
	}
	return v, nil
}

// initialProcess is the System process' name among the kernel's exports.
const initialProcess = "PsInitialSystemProcess"

// SystemDirectory returns DirectoryTableBase of the System process, which maps the
// kernel as every process does and which dump headers name: through the kernel's
// export PsInitialSystemProcess, else by the idle thread of the processor at prcb. The
// error is that of the last way. im may be nil.
func (k *Kernel) SystemDirectory(im *peimage.Image, prcb vtop.VA) (uint64, error) {
	if im != nil {
		if variable, err := im.Export(k.Space, initialProcess); err == nil {
			if v, err := k.directoryOf(variable); err == nil {
				return v, nil
			}
		}
	}
	o := k.Layout
	thread, err := k.Pointer(prcb + offsetOr(k.Data.OffsetPrcbIdleThread, o.Processor.IdleThread))
	if err != nil {
		return 0, fmt.Errorf("KPRCB.IdleThread: %w", err)
	}
	if !k.IsKernel(thread) {
		return 0, &PointerError{What: "KPRCB.IdleThread", At: prcb, Got: thread}
	}
	return k.directoryOf(thread + offsetOr(k.Data.OffsetKThreadApcProcess, o.Process.ApcProcess))
}

// directoryOf reads the directory base of the process that the pointer at
// variable refers to.
func (k *Kernel) directoryOf(variable vtop.VA) (uint64, error) {
	process, err := k.Pointer(variable)
	if err != nil {
		return 0, fmt.Errorf("EPROCESS: %w", err)
	}
	if !k.IsKernel(process) {
		return 0, &PointerError{What: "EPROCESS", At: variable, Got: process}
	}
	v, err := k.Pointer(process + offsetOr(k.Data.OffsetEprocessDirectoryTableBase, k.Layout.Process.DirectoryTable))
	if err != nil {
		return 0, fmt.Errorf("EPROCESS.DirectoryTableBase: %w", err)
	}
	return uint64(v), nil
}
