package guest

import (
	"slices"

	"windmp/convert/machine"
	"windmp/convert/search"
	"windmp/convert/stage"
)

// Options are what the user knows of the guest: the physical address of the
// kernel's page tables (a CR3 value), and the virtual addresses of the kernel's
// image and of KDDEBUGGER_DATA64. 0 is not known. Each is checked, and refused
// when it can't be right.
type Options struct {
	DTB, KernelBase, KDBG uint64
	// Machines are those that the guest may be of; empty means all that are
	// described.
	Machines []*machine.Machine
	// Progress is as that of [Options].
	Progress func(stage.Progress)
	// Whole, when set, is called before all of memory is searched.
	Whole func(stage.Whole)

	// seen and trial are those of a search of memory; see [search.Options].
	seen  *search.Seen
	trial bool
}

// Validate returns a [*stage.UsageError] if the options make no sense for any guest.
func (o *Options) Validate() error {
	if slices.Contains(o.Machines, nil) {
		return &stage.UsageError{Reason: "a machine that is not described"}
	}
	return nil
}

// Given tells whether an address of the guest is given.
func (o *Options) Given() bool {
	known := o.search()
	return known.Given()
}
