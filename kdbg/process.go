package kdbg

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"windmp/kdbg/peimage"
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
	// leastName is how many characters the name of a process has that is not looked
	// up by its list: fewer are met by chance.
	leastName = 3
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

// eprocess is where the fields of EPROCESS lie, bytes. KDBG states the first three;
// it does not state the others, and they differ between builds.
type eprocess struct {
	directoryTable, peb, parent vtop.VA
	// links is ActiveProcessLinks; UniqueProcessId stands in the pointer before
	// it on every build.
	links vtop.VA
	// name is ImageFileName, 0 when it was not found.
	name vtop.VA
}

// Processes walks the list of processes. The layout of EPROCESS is derived
// without symbols: it is the one in which an entry near the head of the list
// belongs to a process with id 4 and the name "System". What was read before
// an error is returned with it: a *vtop.FaultError wrapped, a [PointerError],
// [ErrNoSystemProcess], [ErrCycle], or [ErrTooMany].
func (k *Kernel) Processes() ([]Process, error) {
	head, err := k.field("PsActiveProcessHead", unsafe.Offsetof(k.Data.PsActiveProcessHead), k.Data.PsActiveProcessHead)
	if err != nil {
		return nil, err
	}
	entries, listErr := k.processEntries(head)
	layout, err := k.eprocess(entries)
	if err != nil {
		return nil, errors.Join(err, listErr)
	}
	list := make([]Process, 0, len(entries))
	for _, at := range entries {
		list = append(list, k.process(layout, at))
	}
	return list, listErr
}

// processEntries are the addresses of the list's entries.
func (m Memory) processEntries(head vtop.VA) ([]vtop.VA, error) {
	var list []vtop.VA
	seen := map[vtop.VA]bool{}
	for from := head; ; {
		at, err := m.Pointer(from)
		switch {
		case err != nil:
			return list, fmt.Errorf("process list after %d entries: %w", len(list), err)
		case at == head:
			return list, nil
		case len(list) == MaxProcesses:
			return list, fmt.Errorf("%w processes: more than %d", ErrTooMany, MaxProcesses)
		case !m.IsKernel(at) || at < maxEProcess:
			return list, &PointerError{What: "Flink of the process list", At: from, Got: at}
		case seen[at]:
			return list, fmt.Errorf("process list at %v: %w: the next entry %v was seen before", from, ErrCycle, at)
		}
		seen[at] = true
		list = append(list, at)
		from = at
	}
}

// eprocess finds links and name.
func (k *Kernel) eprocess(entries []vtop.VA) (*eprocess, error) {
	d := &k.Data
	l := eprocess{directoryTable: vtop.VA(d.OffsetEprocessDirectoryTableBase), peb: vtop.VA(d.OffsetEprocessPeb), parent: vtop.VA(d.OffsetEprocessParentCID)}
	if l.peb == 0 {
		return nil, k.absent("OffsetEprocessPeb", unsafe.Offsetof(d.OffsetEprocessPeb))
	}
	for _, at := range entries[:min(len(entries), firstEntries)] {
		if k.deriveFromSystem(&l, at) {
			return &l, nil
		}
	}
	if k.deriveFromThreads(&l, entries) {
		return &l, nil
	}
	return nil, ErrNoSystemProcess
}

// deriveFromSystem tries every place of ActiveProcessLinks for the entry of System. The
// name has been at several distances from the rest, so that it is found with the wrong
// place too: what lies in place of the root tells them apart. Where the page tables are
// not in memory, the first root that may be one is believed.
func (k *Kernel) deriveFromSystem(l *eprocess, at vtop.VA) bool {
	pointer := k.Layout.pointers(1)
	if pid, err := k.Pointer(at - pointer); err != nil || pid != systemPID {
		return false
	}
	found := false
	for links := vtop.VA(minLinks); links < min(l.peb, maxEProcess); links += pointer {
		base := at - links
		name, named := k.systemName(l, base)
		if !named {
			continue
		}
		root, err := k.Pointer(base + l.directoryTable)
		if err != nil || !k.mayBeRoot(uint64(root)) {
			continue
		}
		sure := k.MappedBy(k.Space.At(uint64(root)))
		if sure || !found {
			l.links, l.name, found = links, name, true
		}
		if sure {
			break
		}
	}
	return found
}

// mayBeRoot tells whether a word can be what Windows keeps as the root of a process: it
// is not 0, and has no bits beside the address but flags in the lowest.
func (k *Kernel) mayBeRoot(word uint64) bool {
	mode := k.Space.Mode
	return mode.Root(word) != 0 && word&^(mode.RootMask|(pageSize-1)) == 0
}

// systemName finds the name of System in its EPROCESS.
func (k *Kernel) systemName(l *eprocess, base vtop.VA) (vtop.VA, bool) {
	for _, distance := range k.Layout.Process.NameFromPeb {
		at := l.peb + vtop.VA(distance) //nolint:gosec // may be negative
		if b, err := k.read(base+at, len(systemName)); err == nil && string(b) == systemName {
			return at, true
		}
	}
	return 0, false
}

// NameOf is ImageFileName of the process object at a place where no list of processes
// is known: the longest name at one of the places that it has had, which are so near to
// each other that one may have the end of what stands at another. It is empty where
// there is none.
func (k *Kernel) NameOf(process vtop.VA) (longest string) {
	peb := vtop.VA(k.Data.OffsetEprocessPeb)
	if peb == 0 {
		return ""
	}
	for _, distance := range k.Layout.Process.NameFromPeb {
		b, err := k.read(process+peb+vtop.VA(distance), imageNameSize-1) //nolint:gosec // may be negative
		if err != nil {
			continue
		}
		name, rest, ended := bytes.Cut(b, []byte{0})
		printable := !bytes.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' })
		if ended && printable && len(name) >= max(leastName, len(longest)+1) && len(bytes.Trim(rest, "\x00")) == 0 {
			longest = string(name)
		}
	}
	return longest
}

// deriveFromThreads serves where System's own object is not readable: a
// processor's current or idle thread leads to an EPROCESS, and where that is
// in the list the difference is ActiveProcessLinks. Names stay unknown.
func (k *Kernel) deriveFromThreads(l *eprocess, entries []vtop.VA) bool {
	d := &k.Data
	list, err := k.Processors(1)
	if err != nil || list[0].PRCB == 0 || d.OffsetKThreadApcProcess == 0 {
		return false
	}
	for _, offset := range []uint16{d.OffsetPrcbCurrentThread, d.OffsetPrcbIdleThread} {
		thread, err := k.Pointer(list[0].PRCB + vtop.VA(offset))
		if offset == 0 || err != nil {
			continue
		}
		process, err := k.Pointer(thread + vtop.VA(d.OffsetKThreadApcProcess))
		if err != nil {
			continue
		}
		i := slices.IndexFunc(entries, func(at vtop.VA) bool {
			return at > process && at-process >= minLinks && at-process < min(l.peb, maxEProcess)
		})
		if i >= 0 {
			l.links = entries[i] - process
			return true
		}
	}
	return false
}

// process reads the process whose ActiveProcessLinks lie at links.
func (k *Kernel) process(l *eprocess, links vtop.VA) Process {
	p := Process{EPROCESS: links - l.links}
	word := func(offset vtop.VA) uint64 {
		v, err := k.Pointer(p.EPROCESS + offset)
		if err != nil && p.Err == nil {
			p.Err = fmt.Errorf("EPROCESS+%#x: %w", uint64(offset), err)
		}
		return uint64(v)
	}
	p.PID = word(l.links - k.Layout.pointers(1))
	p.DirectoryTable = word(l.directoryTable)
	p.Peb = vtop.VA(word(l.peb))
	if l.parent != 0 {
		p.ParentPID = word(l.parent)
	}
	p.Name = k.processName(l, &p)
	return p
}

// processName reads ImageFileName; its bytes are the guest's.
func (k *Kernel) processName(l *eprocess, p *Process) string {
	if l.name == 0 {
		return ""
	}
	b, err := k.read(p.EPROCESS+l.name, imageNameSize)
	if err != nil {
		if p.Err == nil {
			p.Err = fmt.Errorf("ImageFileName: %w", err)
		}
		return ""
	}
	name, _, _ := bytes.Cut(b, []byte{0})
	return string(name)
}

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

// InitialProcess is the name of the kernel's export that points to the System process;
// no other image exports it.
const InitialProcess = "PsInitialSystemProcess"

// SystemDirectory returns DirectoryTableBase of the System process, which maps the
// kernel as every process does and which dump headers name: through the kernel's
// export PsInitialSystemProcess, else by the idle thread of the processor at prcb. The
// error is that of the last way. im may be nil.
func (k *Kernel) SystemDirectory(im *peimage.Image, prcb vtop.VA) (uint64, error) {
	if im != nil {
		if variable, err := im.Export(k.Space, InitialProcess); err == nil {
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
	return k.DirectoryOf(thread)
}

// DirectoryOf returns DirectoryTableBase of the process that a thread is attached to. The
// error is a [PointerError] or wraps a *vtop.FaultError.
func (k *Kernel) DirectoryOf(thread vtop.VA) (uint64, error) {
	return k.directoryOf(thread + offsetOr(k.Data.OffsetKThreadApcProcess, k.Layout.Process.ApcProcess))
}

// StackLimits are the lowest address of a thread's kernel stack and the one behind its
// highest, as KTHREAD has them: 0 where KDBG does not say where, or they are not readable.
func (k *Kernel) StackLimits(thread vtop.VA) (low, high vtop.VA) {
	l, b := k.Data.OffsetKThreadStackLimit, k.Data.OffsetKThreadStackBase
	if l == 0 || b == 0 || thread == 0 {
		return 0, 0
	}
	low, err1 := k.Pointer(thread + vtop.VA(l))
	high, err2 := k.Pointer(thread + vtop.VA(b))
	if err1 != nil || err2 != nil {
		return 0, 0
	}
	return low, high
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
