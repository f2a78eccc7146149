package physmem

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// Format names a container of guest memory.
type Format string

// The formats that are read.
const (
	FormatELF   Format = "elf"   // ELF core of a machine, "vmcore"
	FormatDMP   Format = "dmp"   // Windows crash dump
	FormatKdump Format = "kdump" // kdump-compressed dump, flattened or not
	FormatRaw   Format = "raw"   // physical memory as it is; never recognised, see Options
)

// An Image is the memory and the processors of a guest as a file holds them.
//
// All methods but Close may be called by several goroutines at once. What they
// return is not to be changed.
type Image struct {
	size   int64
	closer io.Closer
	content

	recovering sync.Mutex // held while extents are added
	failure    atomic.Pointer[ReadError]
}

// content is what a format's opener finds in a file.
type content struct {
	format    Format
	describe  string
	mem       memory
	cpus      []CPU
	guestNote *Note
	// dumpHeader is the header of a Windows crash dump, nil in other formats.
	dumpHeader []byte
	oddities   []Oddity
	raw        *rawFile // nil in other formats
	layout     *layout  // nil if the file holds nothing beyond its headers' extents
	is32       bool     // the first processor was not in 64-bit mode
}

// memory is where a format keeps the guest's memory.
type memory interface {
	// readAt reads guest-physical memory at pa as Image.ReadAt does.
	readAt(p []byte, pa uint64) (int, error)
	// ranges returns what readAt can read, sorted, disjoint, adjacent ones
	// merged.
	ranges() []Range
	// extents returns where the memory is in the file, sorted by address and
	// disjoint; nil if it is not there byte by byte.
	extents() []Extent
}

// Close closes the file if Open opened it. Reads fail afterwards.
func (m *Image) Close() error {
	if m.closer == nil {
		return nil
	}
	return m.closer.Close()
}

// Format returns the container's format.
func (m *Image) Format() Format { return m.format }

// Is32 reports whether the file says that it is of a 32-bit x86 machine. QEMU goes
// by the first processor: a 64-bit system that is still starting counts as 32-bit.
func (m *Image) Is32() bool { return m.is32 }

// FileSize returns the size of the file in bytes.
func (m *Image) FileSize() int64 { return m.size }

// Describe says in a few words what kind of file it is and who wrote it.
func (m *Image) Describe() string { return m.describe }

// ReadAt reads guest-physical memory: pa is the guest physical address of the
// first byte. It follows io.ReaderAt: less than len(p) bytes always come with
// an error.
//
// At memory that the file does not hold it returns the bytes before it and a
// *NotInImageError (errors.Is ErrNotInImage). A failing file gives a
// *ReadError. It never returns io.EOF, as guest memory has no end, only holes.
func (m *Image) ReadAt(p []byte, pa int64) (int, error) {
	if pa < 0 {
		return 0, fmt.Errorf("guest physical address -0x%x is negative", uint64(-pa))
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := m.mem.readAt(p, uint64(pa))
	if err != nil {
		m.remember(err)
	}
	return n, err
}

// Ranges returns what the file holds: sorted, disjoint, adjacent ranges merged
// wherever they are in the file.
func (m *Image) Ranges() []Range { return slices.Clone(m.mem.ranges()) }

// Extents returns where in the file the memory is: sorted by physical address,
// disjoint. It is empty for a container that compresses memory.
func (m *Image) Extents() []Extent { return slices.Clone(m.mem.extents()) }

// Missing returns the parts of r that the file does not hold, ascending.
func (m *Image) Missing(r Range) []Range { return subtract(r, m.mem.ranges()) }

// CPUs returns the processors in the order of the file; none if the file has
// no processor state.
func (m *Image) CPUs() []CPU { return slices.Clone(m.cpus) }

// GuestNote returns the note that the guest itself left with its host,
// "VMCOREINFO", or nil. Windows' is a dump header, Linux' a text
// (LooksLikeLinux).
func (m *Image) GuestNote() *Note { return m.guestNote }

// Oddities returns what was wrong with the file and did not keep it from being
// opened.
func (m *Image) Oddities() []Oddity { return slices.Clone(m.oddities) }
