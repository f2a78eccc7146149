// Package hyperv opens the saved states of Hyper-V, .vmrs files: a key-value store,
// HyperVStorage, in which the guest's memory lies in blocks of 1 MiB and the
// processors in a stream of the hypervisor. What is x86 in it stands in the files
// x86_*.go.
//
// Source of the layouts, where nothing else is named: Microsoft's openvmm (MIT),
// support/hvs_file/FORMAT.md and src/defs.rs, vmm_core/hyperv_dump,
// vm/hv1/hvdef/src/save_restore.rs. Files of openvmm's writer were read; none that a
// Windows host wrote.
package hyperv

import (
	"context"
	"fmt"

	"windmp/internal/binio"
	"windmp/physmem"
)

// Opener returns the opener of Hyper-V's saved states.
func Opener() physmem.Opener { return physmem.Opener{Format: physmem.FormatHyperV, Open: open} }

// file is a file of HyperVStorage while it is opened.
type file struct {
	ctx  context.Context // of opening
	r    physmem.Source
	size uint64
	hdr  header
	odd  physmem.Oddities
	// until is where the farthest thing ends that the file describes and does not
	// hold; 0 if it is whole.
	until uint64
}

// open opens a saved state: the header, then the replay log, which must have nothing
// to do, the tables of objects and of keys, and what the keys of a saved state say.
func open(ctx context.Context, src physmem.Source) (*physmem.Container, error) {
	f := &file{ctx: ctx, r: src, size: binio.Uint64(src.Size())}
	if err := f.readHeader(); err != nil {
		return nil, err
	}
	if err := f.checkLog(); err != nil {
		return nil, err
	}
	tables, err := f.keyTables()
	if err != nil {
		return nil, err
	}
	s := &savedState{file: f}
	if err := f.readKeys(tables, s.take); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.container()
}

// container puts together what was found.
func (s *savedState) container() (*physmem.Container, error) {
	mem, err := s.memory()
	if err != nil {
		return nil, err
	}
	state, err := s.processors()
	if err != nil {
		return nil, err
	}
	if s.until > s.size {
		s.odd.Add(physmem.OddityTruncated, 0, "%s", physmem.Cut{Size: s.size, Whole: s.until})
	}
	s.odd.Add(physmem.OddityUntried, 0, "Hyper-V's saved states are read by what Microsoft published with openvmm; no file that a Windows host wrote was seen")
	return &physmem.Container{
		Description: s.describe(len(state.cpus)) + state.guest(),
		State:       s.told(),
		Machine:     state.machine,
		Memory:      mem,
		CPUs:        state.cpus,
		Oddities:    s.odd.All(),
	}, nil
}

// describe says in a few words what was opened.
func (s *savedState) describe(cpus int) string {
	d := "Hyper-V saved state"
	if s.kind != "" {
		d += fmt.Sprintf(" (%s)", s.kind)
	}
	if s.version != 0 {
		d += fmt.Sprintf(" of VM version %s", dotted(s.version))
	}
	if s.packed > 0 {
		d += ", compressed"
	}
	return fmt.Sprintf("%s, %s, %s", d, binio.Plural(uint64(len(s.ram)), "RAM block"), binio.Plural(uint64(cpus), "CPU")) //nolint:gosec // lengths
}

// told is what the file says of itself.
func (s *savedState) told() physmem.State {
	out := physmem.State{Product: "Hyper-V", Kind: physmem.StateText(s.kind)}
	if s.version != 0 {
		out.Version = dotted(s.version)
	}
	if s.packed > 0 {
		out.Encoding = "xpress"
	}
	return out
}

// dotted is a version of major and minor number, 8 bits each.
func dotted(v uint64) string { return fmt.Sprintf("%d.%d", v>>8, v&0xff) }

// lacks notes that the file ends before a structure of n bytes at an offset does.
func (f *file) lacks(off, n uint64) {
	if end, ok := binio.Sum(off, n); ok {
		f.until = max(f.until, end)
	}
}

// cut says that the file ends too early.
func (f *file) cut() *physmem.Cut { return &physmem.Cut{Size: f.size, Whole: f.until} }

// read fills p from an offset at which the file has as much.
func (f *file) read(p []byte, off uint64) error {
	at, _ := binio.Int64(off)
	if err := binio.ReadFull(f.r, p, at); err != nil {
		return &physmem.ReadError{Offset: at, Err: err}
	}
	return nil
}

// place is a file offset as oddities have it.
func place(off uint64) int64 {
	at, _ := binio.Int64(off)
	return at
}
