package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"windmp/convert/machine"
	"windmp/convert/processor"
	"windmp/kdbg"
	"windmp/physmem"
	"windmp/physmem/extents"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/bugcheck"
	"windmp/winhdr/triagefile"
)

// Triage is the guest of a triage dump as a debugger takes it. Its memory is what the
// dump holds by virtual address, there is no image, and no dump can be made of it.
// Nothing is verified; of what can't be read it has the error.
type Triage struct {
	*Guest
	// File is what the dump's records say.
	File *triagefile.File
	// BlockErr is why there is no Kernel.
	BlockErr error
	// ListErr is why there are no Modules, UnloadedErr why there are no unloaded
	// drivers, BlocksErr why there are no data blocks, SecondaryErr why the list of
	// secondary data breaks off.
	ListErr, UnloadedErr, BlocksErr, SecondaryErr error
	// ProcessorErr is why there are no Processors.
	ProcessorErr error
	// Blocks are the data blocks, Secondary the secondary data.
	Blocks    []triagefile.Span
	Secondary []triagefile.BlobPart
	// Current is what the processor was running, CurrentErr why it is not known.
	Current    kdbg.Current
	CurrentErr error
}

// errNotInDump is of an address that a triage dump does not hold. It says nothing
// about the guest.
type errNotInDump struct{ error }

// Error says that the dump does not hold it.
func (errNotInDump) Error() string { return "not in the dump" }

// Unwrap returns the memory's error.
func (e errNotInDump) Unwrap() error { return e.error }

// pieces is the memory of a triage dump, by the address as [vtop.Mode.Flat] has it.
type pieces struct{ held *extents.Memory }

// ReadAt implements [io.ReaderAt].
func (p pieces) ReadAt(b []byte, at int64) (int, error) {
	n, err := p.held.ReadAt(b, at)
	if errors.Is(err, physmem.ErrNotInImage) {
		err = errNotInDump{err}
	}
	return n, err
}

// OpenTriage takes the guest of a triage dump whose header is h, in a file of that
// many bytes. An error is one of the file's, a [*triagefile.Error] for a file that
// ends before its records, or the cause of ctx, which is asked before each step; the
// longest, the tables, has what package triagefile reads at most.
func OpenTriage(ctx context.Context, h *winhdr.Header, file io.ReaderAt, size int64, machines ...*machine.Machine) (*Triage, error) {
	f := newFinder(nil, machines)
	f.takeHeader(h.Clone())
	t := &Triage{Guest: &Guest{f: f}}
	b := triageBuilder{Triage: t, file: file, size: uint64(max(size, 0))}
	b.lay() // a guest that ends early has memory too, with nothing in it
	var err error
	if t.File, err = triagefile.Read(h, file, size); err != nil {
		return t, err
	}
	f.BugCheck = new(kdbg.BugCheck)
	if h.BugCheckCode != bugcheck.LiveSystemDump {
		*f.BugCheck = kdbg.BugCheck{Code: h.BugCheckCode, Parameters: h.BugCheckParameters}
	}
	for _, step := range []func() error{b.lists, b.memory, b.block, b.processor} {
		if ctx.Err() != nil {
			return t, context.Cause(ctx)
		}
		if err := step(); err != nil {
			return t, err
		}
	}
	if shared, err := f.Memory.SharedUserData(); err == nil {
		f.SharedUserData = shared
	}
	return t, nil
}

// triageBuilder is a triage dump's guest while it is read.
type triageBuilder struct {
	*Triage
	file   io.ReaderAt
	size   uint64
	placed []extents.Piece
}

// failure keeps what is wrong with a part, and returns the error where it is what the
// system says of the file.
func failure(err error, keep *error) error {
	var read *physmem.ReadError
	if errors.As(err, &read) {
		return err
	}
	*keep = err
	return nil
}

// lists reads what stands there as tables.
func (b *triageBuilder) lists() error {
	var missing [4]error
	b.Blocks, missing[0] = b.File.Blocks()
	b.Secondary, missing[1] = b.File.Blobs()
	unloaded, err := b.File.Unloaded()
	missing[2] = err
	drivers, err := b.File.Drivers()
	missing[3] = err
	for i, keep := range []*error{&b.BlocksErr, &b.SecondaryErr, &b.UnloadedErr, &b.ListErr} {
		if err := failure(missing[i], keep); err != nil {
			return err
		}
	}
	slices.Reverse(unloaded) // the oldest first, as the kernel's list is read
	for _, u := range unloaded {
		b.f.unloaded = append(b.f.unloaded, kdbg.UnloadedDriver{Name: u.Name, Start: vtop.VA(u.StartAddress), End: vtop.VA(u.EndAddress)})
	}
	for _, d := range drivers {
		m := kdbg.Module{
			Base: vtop.VA(d.DllBase), EntryPoint: vtop.VA(d.EntryPoint), Size: d.SizeOfImage, Timestamp: d.TimeDateStamp,
			Functions: vtop.VA(d.ExceptionTable), FunctionsSize: uint32(d.ExceptionTableSize), //nolint:gosec // 32 bits and their padding
			FullName: d.Name, Name: d.Name[strings.LastIndexByte(d.Name, '\\')+1:], NameErr: d.NameErr,
		}
		b.f.Modules = append(b.f.Modules, m)
	}
	return nil
}

// memory places the stack, KDBG and the data blocks. Where they overlap, the engine
// takes the one that comes first in this order.
func (b *triageBuilder) memory() error {
	r := &b.File.Record
	b.place(r.TopOfStack, r.CallStackOffset, r.SizeOfCallStack)
	b.place(b.File.Header.KdDebuggerDataBlock, r.DebuggerDataOffset, r.DebuggerDataSize)
	for i := range b.Blocks {
		if b.Blocks[i].Lost {
			continue
		}
		b.place(b.Blocks[i].Address, b.Blocks[i].Offset, b.Blocks[i].Size)
	}
	b.lay()
	return nil
}

// place lays a stretch of the file at an address, as far as both have it.
func (b *triageBuilder) place(address uint64, offset, size uint32) {
	mode, va := b.f.machine.Flat, vtop.VA(address)
	if offset == 0 || !mode.Canonical(va) || uint64(offset) >= b.size {
		return // what begins with the header's first byte is no part: 0 says that there is none
	}
	start := uint64(mode.Flat(va))
	n := min(uint64(size), b.size-uint64(offset), 1<<mode.AddressBits()-start)
	if n == 0 {
		return
	}
	b.placed = append(b.placed, extents.Piece{
		Extent: physmem.Extent{Range: physmem.Range{Start: start, Size: n}, Offset: int64(offset)},
		Order:  len(b.placed),
	})
}

// first lays a stretch of the file where it wins over what was placed before.
func (b *triageBuilder) first(address uint64, offset, size uint32) {
	n := len(b.placed)
	b.place(address, offset, size)
	if len(b.placed) > n {
		b.placed[n].Order = -len(b.placed)
	}
}

// lay makes the memory of what is placed.
func (b *triageBuilder) lay() {
	list, _ := extents.Resolve(slices.Clone(b.placed)) // that pieces disagree is nothing odd
	space := vtop.NewSpace(pieces{held: extents.New(b.file, list)}, b.f.Header.DirectoryTableBase, b.f.machine.Flat)
	b.f.Memory = b.f.machine.Kernel.In(space)
	if b.f.Kernel != nil {
		b.f.Kernel = b.f.Kernel.In(space)
		b.f.Memory = b.f.Kernel.Memory
	}
}

// block reads KDBG.
func (b *triageBuilder) block() error {
	k, err := b.f.Memory.ReadUnverified(vtop.VA(b.File.Header.KdDebuggerDataBlock))
	if err != nil {
		return failure(err, &b.BlockErr)
	}
	b.f.Kernel, b.f.Memory = k, k.Memory
	return nil
}

// processor places the KPRCB, and by it thread and process, and reads what they say.
func (b *triageBuilder) processor() error {
	k := b.f.Kernel
	if k == nil {
		b.ProcessorErr = errors.New("without KDBG it is not known what the KPRCB holds where")
		return nil
	}
	r, d := &b.File.Record, &k.Data
	at := vtop.VA(b.f.machine.Header.Triage.Prcb)
	b.first(uint64(at), r.PrcbOffset, uint32(d.SizePrcb))
	b.lay()
	p := b.f.Kernel.ProcessorAt(at)
	if p.Err == nil && p.Number >= kdbg.MaxProcessors {
		p.Err = fmt.Errorf("its number is %d", p.Number)
	}
	if p.Err != nil {
		return failure(fmt.Errorf("KPRCB: %w", p.Err), &b.ProcessorErr)
	}
	p.Index = int(p.Number)
	thread, err := b.f.Kernel.Pointer(at + vtop.VA(d.OffsetPrcbCurrentThread))
	if err == nil {
		b.first(uint64(thread), r.ThreadOffset, uint32(d.SizeEThread))
		b.lay()
		var process vtop.VA
		if process, err = b.f.Kernel.Pointer(thread + vtop.VA(d.OffsetKThreadApcProcess)); err == nil {
			b.first(uint64(process), r.ProcessOffset, uint32(d.SizeEProcess))
			b.lay()
		}
	}
	b.Current, err = b.f.Kernel.CurrentProcess(at)
	if err := failure(err, &b.CurrentErr); err != nil {
		return err
	}
	out := processor.Processor{Processor: p, VCPU: -1, Saved: b.File.Header.Context()}
	if sr, err := b.f.Memory.SpecialRegisters(p.SpecialRegisters); err == nil && p.SpecialRegisters != 0 {
		out.Specials = sr
	}
	list := b.others(max(p.Index+1, int(min(b.File.Header.NumberProcessors, kdbg.MaxProcessors))))
	list[p.Index] = out
	for len(list) > p.Index+1 && list[len(list)-1].Err != nil {
		list = list[:len(list)-1] // of which nothing is known
	}
	b.f.Processors = list
	b.f.shown = &b.f.Processors[p.Index]
	return nil
}

// ErrNotHeld is of a processor that a triage dump says nothing of.
var ErrNotHeld = errors.New("the dump does not hold it")

// others are the first n processors, as far as the data blocks have them: Windows
// puts all of them there since some builds of 10.
func (b *triageBuilder) others(n int) []processor.Processor {
	list, err := b.f.Kernel.Processors(n)
	out := make([]processor.Processor, n)
	for i := range out {
		if err != nil || list[i].Err != nil {
			out[i] = processor.Processor{Processor: kdbg.Processor{Index: i, Err: ErrNotHeld}, VCPU: -1, SavedErr: ErrNotHeld}
			continue
		}
		out[i] = processor.Read(b.f.machine, b.f.Memory, list[i])
	}
	return out
}

// OfProcessor is the processor that a triage dump is of: its place in
// [Guest.Processors]. It is false for other guests.
func OfProcessor(g *Guest) (int, bool) {
	if g.f.shown == nil {
		return 0, false
	}
	return g.f.shown.Index, true
}

// IsTriage reports whether b begins like the header of a triage dump, and decodes it.
func IsTriage(b []byte, machines ...*machine.Machine) (*winhdr.Header, bool) {
	h, err := winhdr.Decode(b, machine.Formats(machine.OrAll(machines))...)
	return h, err == nil && h.DumpType == winhdr.DumpTypeTriage && h.Format().Triage != nil
}

// ProcessName is the name of the process that the processor ran; empty where it is not
// known.
func (t *Triage) ProcessName() string {
	if t.Kernel() == nil || t.Current.Process == 0 {
		return ""
	}
	return t.Kernel().NameOf(t.Current.Process)
}

// HeldBytes is how many bytes of memory the dump holds.
func (t *Triage) HeldBytes() uint64 {
	if t.f.Memory.Space == nil {
		return 0
	}
	m, ok := t.f.Memory.Space.Mem.(pieces)
	if !ok {
		return 0
	}
	return physmem.TotalSize(m.held.Ranges())
}
