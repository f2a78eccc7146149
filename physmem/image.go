package physmem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"sync/atomic"
)

// Format names a container of guest memory.
type Format string

// The formats that are read here. An [Opener] of a caller's own has another name.
const (
	FormatELF   Format = "elf"   // ELF core of a machine, "vmcore"
	FormatDMP   Format = "dmp"   // Windows crash dump
	FormatKdump Format = "kdump" // kdump-compressed dump, flattened or not
	FormatXen   Format = "xen"   // core or saved state of Xen's tools
	FormatLiME  Format = "lime"  // LiME's ranges of memory
	FormatRaw   Format = "raw"   // physical memory as it is; never recognised
	// FormatMigration is QEMU's migration stream, with libvirt's header or without.
	FormatMigration Format = "migration"
	// FormatVMware is VMware's state files, and memory beside them.
	FormatVMware Format = "vmware"
	// FormatQcow2 is a disk image with a snapshot that holds memory.
	FormatQcow2 Format = "qcow2"
	// FormatHyperV is a saved state of Hyper-V, .vmrs.
	FormatHyperV Format = "hyper-v"
)

// Machine names a kind of machine, as a container tells it: empty if it does not.
type Machine string

// An Image is the memory and the processors of a guest as a file holds them.
//
// An Image never changes. Another view of what the file holds, with memory placed
// that the file does not describe, or with a hole, is another Image. All methods
// but Close may be called by several goroutines at once. What they return is the
// caller's own.
type Image struct {
	format    Format
	size      int64
	closer    io.Closer
	announcer Announcer // nil where the file needs no announcement
	retrier   Retrier   // nil where the file never gives up
	container Container
	attempt   *atomic.Pointer[attempt] // of all views of the file
	damage    *atomic.Bool             // the same: a damaged page was met
}

// An attempt ends when what failed is tried again. What was begun in one and fails later
// says nothing of the next.
type attempt struct{ failure atomic.Pointer[ReadError] }

// NewImage returns the image of a container that an opener of a format found in
// src, which stays the caller's to close.
func NewImage(format Format, src Source, c *Container) *Image {
	m := &Image{format: format, size: src.Size(), container: *c, attempt: new(atomic.Pointer[attempt]), damage: new(atomic.Bool)}
	m.attempt.Store(new(attempt))
	if c.MemoryFile == "" {
		m.announcer, _ = src.(Announcer)
	}
	m.retrier, _ = src.(Retrier)
	m.container.State.Packing = Packing(src)
	return m
}

// WithCloser returns the image with what its Close closes.
func (m *Image) WithCloser(c io.Closer) *Image {
	view := *m
	view.closer = c
	return &view
}

// view returns another view of the same file, which is m's to close.
func (m *Image) view(c *Container) *Image {
	view := *m
	view.closer, view.container = nil, *c
	return &view
}

// withMemory returns a view with other memory.
func (m *Image) withMemory(mem Memory) *Image {
	c := m.container
	c.Memory = mem
	return m.view(&c)
}

// Close closes the file if the image came with it. Reads fail afterwards, those
// of all views too.
func (m *Image) Close() error {
	if m.closer == nil {
		return nil
	}
	return m.closer.Close()
}

// Format returns the container's format.
func (m *Image) Format() Format { return m.format }

// Machine returns the kind of machine that the file says it is of, empty if it
// does not. QEMU goes by the first processor: a 64-bit x86 system that is still
// starting counts as a 32-bit one.
func (m *Image) Machine() Machine { return m.container.Machine }

// FileSize returns the size of the file in bytes.
func (m *Image) FileSize() int64 { return m.size }

// Describe says in a few words what kind of file it is and who wrote it.
func (m *Image) Describe() string { return m.container.Description }

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
	of := m.attempt.Load()
	n, err := m.container.Memory.ReadAt(p, pa)
	if err != nil {
		m.remember(of, err)
	}
	return n, err
}

// remember keeps the first failure of the system, or of the source, in an attempt.
func (m *Image) remember(of *attempt, err error) {
	var read *ReadError
	switch {
	case !errors.As(err, &read):
	case read.Damaged:
		m.damage.Store(true)
	case read.BySystem(), errors.Is(read.Err, ErrSource):
		of.failure.CompareAndSwap(nil, read)
	}
}

// MetDamage reports whether a read by ReadAt, of this image or of any other view of the
// file, met a page that can't be decoded. [Image.Sound] finds them all.
func (m *Image) MetDamage() bool { return m.damage.Load() }

// Sound returns a view without the pages that can't be decoded, with an oddity that
// counts them; m itself if there are none. Of a container that compresses memory it
// reads all of that. The error is that of ctx, or what the system says of the file.
func (m *Image) Sound(ctx context.Context) (*Image, error) {
	s, ok := m.container.Memory.(Sieve)
	if !ok {
		return m, nil
	}
	mem, damaged, first, err := s.Sound(ctx)
	if err != nil || mem == nil {
		return m, err
	}
	c := m.container
	c.Memory = mem
	gone := lost{pages: damaged, size: damaged * PageSize, first: first}
	c.Oddities = append(slices.Clip(c.Oddities), gone.oddity(OddityDamaged, damagedText))
	view := m.view(&c)
	view.damage = new(atomic.Bool)
	return view, nil
}

// ReadFailure returns the first error with which the system, or the source
// ([ErrSource]), refused a read of the file by ReadAt, of this image or of any other
// view of the file, a *ReadError; or nil. Whoever takes unreadable memory for absent must
// ask before concluding anything about the guest. Data that can't be decoded, and a file
// that has become shorter, are no such failure.
func (m *Image) ReadFailure() error {
	if e := m.attempt.Load().failure.Load(); e != nil {
		return e
	}
	return nil
}

// TryAgain has what failed forgotten, of all views of the file, and what was begun before
// and fails later: for who makes several things of an image, one after the other, of which
// one may fail and the next not.
func (m *Image) TryAgain() {
	m.attempt.Store(new(attempt))
	if m.retrier != nil {
		m.retrier.Retry() // it may have failed ahead of the reads
	}
}

// Ranges returns what the file holds: sorted, disjoint, adjacent ranges merged
// wherever they are in the file.
func (m *Image) Ranges() []Range { return slices.Clone(m.container.Memory.Ranges()) }

// Laid returns what the file would hold if all of it could be read: [Image.Ranges], and of
// memory that takes holes the pages, too, that [Image.Readable] leaves out.
func (m *Image) Laid() []Range { return slices.Clone(laid(m.container.Memory)) }

// MemoryFile returns the name of the file beside this one that Extents and FileOffset
// speak of; empty if that is the file itself.
func (m *Image) MemoryFile() string { return m.container.MemoryFile }

// Apart reports whether memory and processors come from two files, so that they may be
// of different moments.
func (m *Image) Apart() bool { return m.container.Apart }

// Missing returns the parts of r that the file does not hold, ascending.
func (m *Image) Missing(r Range) []Range { return Subtract(r, m.container.Memory.Ranges()) }

// MissingOf returns the parts of runs that the file does not hold, in their order.
func (m *Image) MissingOf(runs Runs) (list []Range) {
	for _, r := range runs {
		list = append(list, m.Missing(r.Range())...)
	}
	return list
}

// Extents yields where in the file the memory from guest physical address pa on
// is, ascending by address and disjoint; the first one begins at pa if memory is
// there. There is none in a container that compresses memory.
func (m *Image) Extents(pa uint64) iter.Seq[Extent] {
	if l, ok := m.container.Memory.(Locator); ok {
		return l.Extents(pa)
	}
	return func(func(Extent) bool) {}
}

// Located reports whether the memory lies in the file byte by byte: Extents has all
// of it.
func (m *Image) Located() bool {
	_, ok := m.container.Memory.(Locator)
	return ok
}

// FileOffset returns the offset of the byte at a guest physical address in the
// file, false if it is not there as it is.
func (m *Image) FileOffset(pa uint64) (int64, bool) {
	for e := range m.Extents(pa) {
		return e.Offset, e.Start == pa
	}
	return 0, false
}

// WillRead says which memory is read next, in this order. A source behind a network
// fetches it ahead then, where it lies in the file byte by byte; for all others it does
// nothing. The list is gone through while the memory is read.
func (m *Image) WillRead(list iter.Seq[Range]) {
	if m.announcer == nil || !m.Located() {
		return
	}
	m.announcer.Announce(func(yield func(Stretch) bool) {
		for r := range list {
			for s := range m.stretches(r) {
				if !yield(s) {
					return
				}
			}
		}
	})
}

// stretches are where a range lies in the file, as far as it does.
func (m *Image) stretches(r Range) iter.Seq[Stretch] {
	return func(yield func(Stretch) bool) {
		for e := range m.Extents(r.Start) {
			at := max(e.Start, r.Start)
			if at >= r.End() || !yield(Stretch{Offset: e.Offset + int64(at-e.Start), Size: int64(min(e.End(), r.End()) - at)}) { //nolint:gosec // what lies in a file
				return
			}
		}
	}
}

// NextData returns the first guest-physical address from pa on that may hold
// something other than zeros, and what is below it from pa on reads as zeros. It
// is pa itself unless the file has a hole there or says in a few bytes that pages
// are zeros. It is at most the end of the memory around pa, of which the file
// keeps all in one piece. It reads no guest memory.
func (m *Image) NextData(pa uint64) uint64 {
	f, ok := m.container.Memory.(DataFinder)
	if !ok || pa > math.MaxInt64 {
		return pa
	}
	return max(pa, uint64(f.NextData(int64(pa)))) //nolint:gosec // not below pa
}

// CPUs returns the processors in the order of the file; none if the file has
// no processor state.
func (m *Image) CPUs() []CPU { return cloneCPUs(m.container.CPUs) }

// GuestNote returns the note that the guest itself left with its host,
// "VMCOREINFO", or nil. Windows' is a dump header, Linux' a text
// (LooksLikeLinux).
func (m *Image) GuestNote() *Note { return m.container.GuestNote.clone() }

// DumpHeader returns the header of a Windows crash dump as it is, as long as its
// kind of dump has it (see package winhdr); nil for other formats. A dump has no
// processors here: the registers are in guest memory, where the header leads.
func (m *Image) DumpHeader() []byte { return slices.Clone(m.container.DumpHeader) }

// IsDump reports whether there is a [Image.DumpHeader], and copies nothing.
func (m *Image) IsDump() bool { return m.container.DumpHeader != nil }

// Oddities returns what was wrong with the file and did not keep it from being
// opened.
func (m *Image) Oddities() []Oddity { return slices.Clone(m.container.Oddities) }

// Recover returns a view with memory that the file holds and does not describe, as
// far as its place is certain, and what it placed, ascending; m itself if there is
// nothing. That is so for all files but QEMU's ELF dumps with paging on. The
// extents that it makes are marked Recovered.
//
// ram are guest physical ranges that are known to be RAM, such as the runs of
// the Windows header. Nothing is ever placed against what the file says. But ram
// is believed: a range of it that goes on behind memory of the file is taken for
// the same block of RAM, unless the file says that the block ends.
func (m *Image) Recover(ram []Range) (*Image, []Range) {
	p, ok := m.container.Memory.(Placer)
	if !ok {
		return m, nil
	}
	mem, placed := p.Recover(ram)
	if mem == nil {
		return m, nil
	}
	return m.withMemory(mem), placed
}

// Candidates returns supposed places of those parts of ram that the file may
// hold but Recover did not place, ascending by address, the likely one of each
// part first. It is meant for an image that Recover returned, with the same ram;
// and Recover again after Adopt, which may prove more.
func (m *Image) Candidates(ram []Range) []Candidate {
	if p, ok := m.container.Memory.(Placer); ok {
		return p.Candidates(ram)
	}
	return nil
}

// Adopt returns a view in which the candidates' memory is where they suppose it,
// and what it placed, ascending: without those candidates that contradict what is
// known, or one before them; m itself if that is so for all. The view reads m's
// file and must not be used after m is closed; it need not be closed itself.
func (m *Image) Adopt(list ...Candidate) (*Image, []Range) {
	p, ok := m.container.Memory.(Placer)
	if !ok {
		return m, nil
	}
	mem, placed := p.Adopt(list)
	if mem == nil {
		return m, nil
	}
	return m.withMemory(mem), placed
}

// Mappings goes through the page mappings that a dump with paging on lists
// beside its memory, in the file's order. A candidate can be checked against
// them: walking the page tables in a view made by Adopt must give the same. For
// other files it yields nothing. It reads the file, so it may yield an error.
func (m *Image) Mappings() iter.Seq2[Mapping, error] {
	if p, ok := m.container.Memory.(Placer); ok {
		return p.Mappings()
	}
	return func(func(Mapping, error) bool) {}
}

// TakesHoles reports whether the file does not say where its memory has holes, so that
// [Image.WithHoles] may: raw memory, and VMware's without its state.
func (m *Image) TakesHoles() bool {
	_, ok := m.container.Memory.(HoleTaker)
	return ok
}

// WithHoles returns a view of the memory m, which says nothing of holes, with others, on
// the same file, which stays m's to close. The error is an *OptionError if the holes are none
// (see [CheckHoles]) or m is of another format.
func (m *Image) WithHoles(holes []Range) (*Image, error) {
	t, ok := m.container.Memory.(HoleTaker)
	if !ok {
		return nil, &OptionError{Option: "holes", Reason: fmt.Sprintf("a file of format %s says itself where its memory is", m.format)}
	}
	if err := CheckHoles(holes); err != nil {
		return nil, err
	}
	c, err := t.WithHoles(holes)
	if err != nil {
		return nil, err
	}
	return m.view(c), nil
}
