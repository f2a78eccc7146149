package kdbg

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"windmp/vtop"
)

const (
	// MaxProcesses bounds the list of processes.
	MaxProcesses = 0x10000

	// systemPID is the process id of System on every build.
	systemPID = 4
	// systemName is what its ImageFileName holds.
	systemName = "System\x00"
	// imageNameSize is EPROCESS.ImageFileName: 15 characters and a zero.
	imageNameSize = 16
	// minLinks and maxEProcess bound where ActiveProcessLinks can lie in an
	// EPROCESS: behind KPROCESS, and within the largest EPROCESS known.
	minLinks, maxEProcess = 0x80, 0x1000
	// firstEntries is how many list entries are tried as System's: it is the
	// first of the list, unless its neighbour was damaged.
	firstEntries = 4
)

// ErrNoSystemProcess says that the layout of EPROCESS could not be derived: no
// entry of the process list belongs to a process that looks like System.
var ErrNoSystemProcess = errors.New("no entry of the process list is the System process")

// Process is an entry of the list of processes.
type Process struct {
	// EPROCESS is the address of the process object, Peb that of its
	// environment block, in its own address space; 0 for a kernel process.
	EPROCESS, Peb vtop.VA
	// PID and ParentPID are process ids; the parent may have ended.
	PID, ParentPID uint64
	// Name is ImageFileName, at most 15 characters, as the guest has it; empty
	// when its place is not known.
	Name string
	// DirectoryTable is KPROCESS.DirectoryTableBase: CR3, with flag bits.
	DirectoryTable uint64
	// Err says why the entry is incomplete: a *vtop.FaultError wrapped.
	Err error
}

// ProcessLayout is where the fields of EPROCESS lie, bytes. KDBG states the
// first three; it does not state the others, and they differ between builds.
type ProcessLayout struct {
	DirectoryTable, Peb, Parent uint64
	// Links is ActiveProcessLinks; UniqueProcessId stands in the pointer before
	// it on every build.
	Links uint64
	// Name is ImageFileName, 0 when it was not found.
	Name uint64
}

// nameFromPeb are the distances of ImageFileName from Peb that Windows has had
// on x64 and arm64 (Volatility's profiles; dumps of 9600, 19041 and 26100),
// nameFromPeb32 those on x86 (Volatility's profiles: XP to 7, and 8 to 10).
var (
	nameFromPeb   = []uint64{0x50, 0x58, 0x60, ^uint64(0x50) + 1, ^uint64(0x58) + 1}
	nameFromPeb32 = []uint64{^uint64(0x3c) + 1, 0x30, 0x34, 0x38}
)

// Processes walks the list of processes. The layout of EPROCESS is derived
// without symbols: it is the one in which an entry near the head of the list
// belongs to a process with id 4 and the name "System". What was read before
// an error is returned with it: a *vtop.FaultError wrapped, a [PointerError],
// [ErrNoSystemProcess], [ErrCycle], or [ErrTooMany].
func Processes(s *vtop.Space, b *Block) ([]Process, error) {
	head, err := b.field(s, "PsActiveProcessHead", unsafe.Offsetof(b.Data.PsActiveProcessHead), b.Data.PsActiveProcessHead)
	if err != nil {
		return nil, err
	}
	entries, listErr := processEntries(s, head)
	layout, err := processLayout(s, b, entries)
	if err != nil {
		return nil, errors.Join(err, listErr)
	}
	list := make([]Process, 0, len(entries))
	for _, at := range entries {
		list = append(list, layout.read(s, at))
	}
	return list, listErr
}

// processEntries are the addresses of the list's entries.
func processEntries(s *vtop.Space, head vtop.VA) ([]vtop.VA, error) {
	var list []vtop.VA
	seen := map[vtop.VA]bool{}
	for from := head; ; {
		at, err := s.Pointer(from)
		switch {
		case err != nil:
			return list, fmt.Errorf("process list after %d entries: %w", len(list), err)
		case at == head:
			return list, nil
		case len(list) == MaxProcesses:
			return list, fmt.Errorf("%w processes: more than %d", ErrTooMany, MaxProcesses)
		case !kernelAddress(s, at) || at < maxEProcess:
			return list, &PointerError{What: "Flink of the process list", At: from, Got: at}
		case seen[at]:
			return list, fmt.Errorf("process list at %v: %w: the next entry %v was seen before", from, ErrCycle, at)
		}
		seen[at] = true
		list = append(list, at)
		from = at
	}
}

// processLayout finds Links and Name.
func processLayout(s *vtop.Space, b *Block, entries []vtop.VA) (*ProcessLayout, error) {
	d := &b.Data
	l := ProcessLayout{DirectoryTable: uint64(d.OffsetEprocessDirectoryTableBase), Peb: uint64(d.OffsetEprocessPeb), Parent: uint64(d.OffsetEprocessParentCID)}
	if l.Peb == 0 {
		return nil, &FieldError{Field: "OffsetEprocessPeb", Offset: unsafe.Offsetof(d.OffsetEprocessPeb), Size: len(b.Raw)}
	}
	for _, at := range entries[:min(len(entries), firstEntries)] {
		if l.derive(s, at) {
			return &l, nil
		}
	}
	if l.deriveFromThreads(s, b, entries) {
		return &l, nil
	}
	return nil, ErrNoSystemProcess
}

// derive tries every place of ActiveProcessLinks for the entry of System.
func (l *ProcessLayout) derive(s *vtop.Space, at vtop.VA) bool {
	pointer := uint64(s.PointerSize()) //nolint:gosec // 8 or 4
	if pid, err := s.Pointer(at - vtop.VA(pointer)); err != nil || pid != systemPID {
		return false
	}
	for links := uint64(minLinks); links < min(l.Peb, maxEProcess); links += pointer {
		base := at - vtop.VA(links)
		cr3, err := s.Pointer(base + vtop.VA(l.DirectoryTable))
		if err != nil || cr3 == 0 {
			continue
		}
		if name, ok := l.findName(s, base); ok {
			l.Links, l.Name = links, name
			return true
		}
	}
	return false
}

// findName finds the name of System.
func (l *ProcessLayout) findName(s *vtop.Space, base vtop.VA) (uint64, bool) {
	var b [len(systemName)]byte
	distances := nameFromPeb
	if s.PointerSize() == pointerSize32 {
		distances = nameFromPeb32
	}
	for _, distance := range distances {
		at := l.Peb + distance
		if _, err := s.ReadVirtual(b[:], base+vtop.VA(at)); err == nil && string(b[:]) == systemName {
			return at, true
		}
	}
	return 0, false
}

// deriveFromThreads serves where System's own object is not readable: a
// processor's current or idle thread leads to an EPROCESS, and where that is
// in the list the difference is ActiveProcessLinks. Names stay unknown.
func (l *ProcessLayout) deriveFromThreads(s *vtop.Space, b *Block, entries []vtop.VA) bool {
	d := &b.Data
	list, err := Processors(s, b, 1)
	if err != nil || list[0].PRCB == 0 || d.OffsetKThreadApcProcess == 0 {
		return false
	}
	for _, offset := range []uint16{d.OffsetPrcbCurrentThread, d.OffsetPrcbIdleThread} {
		thread, err := s.Pointer(list[0].PRCB + vtop.VA(offset))
		if offset == 0 || err != nil {
			continue
		}
		process, err := s.Pointer(thread + vtop.VA(d.OffsetKThreadApcProcess))
		if err != nil {
			continue
		}
		i := slices.IndexFunc(entries, func(at vtop.VA) bool {
			return at > process && at-process >= minLinks && uint64(at-process) < min(l.Peb, maxEProcess)
		})
		if i >= 0 {
			l.Links = uint64(entries[i] - process)
			return true
		}
	}
	return false
}

// read reads the process whose ActiveProcessLinks lie at links.
func (l *ProcessLayout) read(s *vtop.Space, links vtop.VA) Process {
	p := Process{EPROCESS: links - vtop.VA(l.Links)}
	word := func(offset uint64) uint64 {
		v, err := s.Pointer(p.EPROCESS + vtop.VA(offset))
		if err != nil && p.Err == nil {
			p.Err = fmt.Errorf("EPROCESS+%#x: %w", offset, err)
		}
		return uint64(v)
	}
	p.PID = word(l.Links - uint64(s.PointerSize())) //nolint:gosec // 8 or 4
	p.DirectoryTable = word(l.DirectoryTable)
	p.Peb = vtop.VA(word(l.Peb))
	if l.Parent != 0 {
		p.ParentPID = word(l.Parent)
	}
	p.Name = l.name(s, &p)
	return p
}

// name reads ImageFileName; its bytes are the guest's.
func (l *ProcessLayout) name(s *vtop.Space, p *Process) string {
	if l.Name == 0 {
		return ""
	}
	var b [imageNameSize]byte
	if _, err := s.ReadVirtual(b[:], p.EPROCESS+vtop.VA(l.Name)); err != nil {
		if p.Err == nil {
			p.Err = fmt.Errorf("ImageFileName: %w", err)
		}
		return ""
	}
	name, _, _ := bytes.Cut(b[:], []byte{0})
	return string(name)
}
