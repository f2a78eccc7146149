package report

import (
	"time"

	"windmp/physmem"
)

// State is what a file says of itself as the state of a machine that a host kept
// ([physmem.State]): as far as it tells.
type State struct {
	// Product wrote the file, and Version is its version or, of Hyper-V, that of the
	// machine's configuration.
	Product string `json:"product,omitempty"`
	Version string `json:"version,omitempty"`
	// Kind is what made the host keep it, in the product's own word.
	Kind string `json:"kind,omitempty"`
	// MachineType is what the host calls the virtual hardware.
	MachineType string `json:"machine_type,omitempty"`
	// Guest is the machine's name on the host.
	Guest    string `json:"guest,omitempty"`
	Snapshot string `json:"snapshot,omitempty"`
	// Saved is when the host made the snapshot, by its own clock: RFC 3339, in UTC.
	Saved string `json:"saved,omitempty"`
	// Encoding is how the container keeps memory, Packing how the file is packed around
	// it, or what libvirt saved.
	Encoding string `json:"encoding,omitempty"`
	Packing  string `json:"packing,omitempty"`
}

// stateOf is nil for a state that says nothing.
func stateOf(s physmem.State) *State {
	if s == (physmem.State{}) {
		return nil
	}
	out := &State{
		Product: s.Product, Version: s.Version, Kind: s.Kind, MachineType: s.MachineType, Guest: s.Guest,
		Snapshot: s.Snapshot, Encoding: s.Encoding, Packing: s.Packing,
	}
	if !s.Saved.IsZero() {
		out.Saved = s.Saved.UTC().Format(time.RFC3339Nano)
	}
	return out
}
