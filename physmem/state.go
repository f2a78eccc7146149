package physmem

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A State is what a file says of itself as the state of a machine that a host kept: as
// far as it tells, and in its own words. A field is empty where it does not. All strings
// are text of one line ([StateText]).
type State struct {
	// Product wrote the file: "QEMU", "libvirt", "Xen", "Hyper-V", or what a file of
	// VMware's calls itself.
	Product string
	// Version is that of the product or, of Hyper-V, of the machine's configuration.
	Version string
	// Kind is what made the host keep it, in the product's own word: Hyper-V's "Normal"
	// and "Snapshot".
	Kind string
	// MachineType is what the host calls the virtual hardware, "pc-q35-7.2".
	MachineType string
	// Guest is the machine's name on the host.
	Guest string
	// Snapshot is the name of the snapshot, and Saved when the host made it, by its own
	// clock; zero where the file does not say it.
	Snapshot string
	Saved    time.Time
	// Encoding is how the container keeps memory where that is not plain: "zlib",
	// "mapped-ram".
	Encoding string
	// Packing is how the file is packed around the container, "gzip"; of what libvirt
	// saved, how the stream behind its header was.
	Packing string
}

// maxStateText caps a name of a state, in bytes.
const maxStateText = 255

// StateText is s if it can be a name of a state, a line of printable text of at most 255
// bytes, else empty: what names a machine may be anything in a forged file.
func StateText(s string) string {
	unprintable := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if len(s) > maxStateText || strings.ContainsFunc(s, unprintable) {
		return ""
	}
	return s
}

// State returns what the file says of itself as the state of a machine.
func (m *Image) State() State { return m.container.State }

// A Packed is a [Source] of what was packed in a file.
type Packed interface {
	// Packing returns a word for how, "gzip"; empty for what was not.
	Packing() string
}

// Packing asks src how it was packed: empty if it was not, or does not know.
func Packing(src Source) string {
	if p, ok := src.(Packed); ok {
		return p.Packing()
	}
	return ""
}
