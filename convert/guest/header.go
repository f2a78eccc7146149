package guest

import (
	"fmt"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/physmem"
	"windmp/winhdr"
)

// readHeader takes the guest's dump header from the VMCOREINFO note, checks it
// field by field, repairs what can be and refuses what can't. Then it lets the
// image place memory that only the header proves to be RAM. Without a note, or with
// one that is of no use, the header is built later, once the kernel is found.
func (g *finder) readHeader() error {
	if raw := g.Image.DumpHeader(); raw != nil {
		return g.readDumpHeader(raw)
	}
	note := g.Image.GuestNote()
	if note == nil {
		g.Add(finding.NoHeader.At("", "the source carries no Windows dump header (no VMCOREINFO note): Windows is looked for in its memory"))
		return nil
	}
	if release, ok := physmem.LooksLikeLinux(note.Desc); ok {
		return g.unsupported(finding.NotWindows.At(noteOffset(note, 0), "the VMCOREINFO note is a Linux guest's (kernel %s)", finding.Quote(release)))
	}
	g.noted.from = len(g.All)
	h, why := g.decodeNote(note)
	if why != nil {
		g.Add(*why)
		return nil
	}
	g.takeHeader(h)
	g.repairHeader(note)
	g.recoverMemory()
	g.noted.to = len(g.All)
	return nil
}

// unsupported refuses a file for what it is, not for being damaged.
func (g *finder) unsupported(f finding.Finding) error {
	e := g.Refuse(f, nil)
	e.Unsupported = true
	return e
}

// noteOffset names a place in the note's payload.
func noteOffset(n *physmem.Note, field int) string {
	return fmt.Sprintf("file offset %#x, header offset %#x", n.Offset+int64(field), field)
}

// takeHeader sets the header, and with it the machine.
func (g *finder) takeHeader(h *winhdr.Header) {
	g.Header, g.original = h, h.Clone()
	if m := machine.ByFormat(h.Format(), g.machines); m != nil {
		g.machine = m
	}
}

// settledLater are fields whose problems a later stage settles and reports,
// because it knows the right value: the kernel stage tries other page tables
// and other places of KDBG, the processor stage counts, the plan has
// KUSER_SHARED_DATA.
var settledLater = map[string]bool{
	"DirectoryTableBase": true, "KdDebuggerDataBlock": true, "NumberProcessors": true,
	"MinorVersion": true, "SystemTime": true, "PaeEnabled": true,
}

// repairHeader goes through what winhdr finds wrong. A wrong signature is
// repaired when the other one is right: the header is only believed once KDBG
// agrees with it.
func (g *finder) repairHeader(n *physmem.Note) {
	h := g.Header
	for _, p := range h.Check() {
		if !settledLater[p.Field] && !aboutRuns(p.Field) {
			g.Add(finding.HeaderRepaired.At(noteOffset(n, p.Offset), "header repaired: %s", p.Sentence()).Because(p))
		}
	}
	g.Runs, _ = h.Runs()
	h.Signature, h.ValidDump = winhdr.SignaturePAGE, h.Format().ValidDump
	h.MachineImageType, h.DumpType = h.Format().Machine, winhdr.DumpTypeFull
}
