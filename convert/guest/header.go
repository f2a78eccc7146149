package guest

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/physmem"
	"windmp/winhdr"
)

// readHeader takes the guest's dump header from the VMCOREINFO note, checks it
// field by field, repairs what can be and refuses what can't. Then it lets the
// image place memory that only the header proves to be RAM. Without a note the
// header is built later, once the kernel is found.
func (g *finder) readHeader() error {
	if raw := g.Image.DumpHeader(); raw != nil {
		return g.readDumpHeader(raw)
	}
	note := g.Image.GuestNote()
	if note == nil {
		g.Add(finding.NoHeader.At("", "the source carries no Windows dump header (no VMCOREINFO note): Windows is looked for in its memory"))
		return nil
	}
	raw, err := g.headerBytes(note)
	if err != nil {
		return err
	}
	h, err := winhdr.Decode(raw, machine.Formats(g.machines)...)
	if err != nil {
		return g.Refuse(finding.HeaderBad.WithAdvice("").At(noteOffset(note, 0), "%v", err), err)
	}
	g.takeHeader(h)
	if err := g.repairHeader(note); err != nil {
		return err
	}
	g.recoverMemory()
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

// eachFormat says something of each form of header that is read.
func (g *finder) eachFormat(say func(f *winhdr.Format) string) []string {
	formats := machine.Formats(g.machines)
	out := make([]string, 0, len(formats))
	for _, f := range formats {
		out = append(out, say(f))
	}
	return out
}

// headerBytes recognises the payload and brings it to exactly the size of a header.
func (g *finder) headerBytes(n *physmem.Note) ([]byte, error) {
	if release, ok := physmem.LooksLikeLinux(n.Desc); ok {
		return nil, g.unsupported(finding.NotWindows.At(noteOffset(n, 0), "the VMCOREINFO note is a Linux guest's (kernel %s)", finding.Quote(release)))
	}
	if len(n.Desc) < 8 {
		sizes := g.eachFormat(func(f *winhdr.Format) string { return fmt.Sprintf("%#x", f.Size()) })
		return nil, g.unsupported(finding.NotWindows.WithAdvice(finding.AdviceHeaderNote).At(noteOffset(n, 0),
			"the VMCOREINFO note holds %d bytes, a Windows header is %s", len(n.Desc), strings.Join(sizes, " or ")))
	}
	format, ok := winhdr.Recognise(n.Desc, machine.Formats(g.machines)...)
	if !ok {
		signatures := g.eachFormat(func(f *winhdr.Format) string {
			signed := binary.LittleEndian.AppendUint32(nil, winhdr.SignaturePAGE)
			return strconv.Quote(string(binary.LittleEndian.AppendUint32(signed, f.ValidDump)))
		})
		return nil, g.unsupported(finding.NotWindows.WithAdvice(finding.AdviceHeaderNote).At(noteOffset(n, 0),
			"the VMCOREINFO note is no Windows header: it begins with %s, expected %s", finding.Quote(string(n.Desc[:8])), strings.Join(signatures, " or ")))
	}
	return g.sizeHeader(n, format)
}

// takeHeader sets the header, and with it the machine.
func (g *finder) takeHeader(h *winhdr.Header) {
	g.Header, g.original = h, h.Clone()
	if m := machine.ByFormat(h.Format(), g.machines); m != nil {
		g.machine = m
	}
}

// sizeHeader cuts a longer payload and fills a slightly shorter one, as Windows
// fills what it does not set.
func (g *finder) sizeHeader(n *physmem.Note, format *winhdr.Format) ([]byte, error) {
	size := format.Size()
	if len(n.Desc) == size {
		return n.Desc, nil
	}
	if len(n.Desc) < format.LeastSize {
		return nil, g.Refuse(finding.HeaderBad.WithAdvice(finding.AdviceHeaderNote).At(noteOffset(n, len(n.Desc)),
			"the header note ends after %#x bytes, expected %#x", len(n.Desc), size), nil)
	}
	g.Add(finding.NoteSize.At(noteOffset(n, 0),
		"the header note holds %#x bytes, expected %#x: all fields are there, the reserved tail is cut or filled", len(n.Desc), size))
	raw := make([]byte, size)
	winhdr.PageFill(raw)
	copy(raw, n.Desc)
	return raw, nil
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
func (g *finder) repairHeader(n *physmem.Note) error {
	h := g.Header
	if other := winhdr.Unread(h.MachineImageType); other != "" {
		return g.unsupported(finding.HeaderBad.WithAdvice("Only x64 and 32-bit x86 guests are converted.").At(noteOffset(n, h.Offset("MachineImageType")),
			"the header is that of a %s guest, in the core of an x64 machine", other))
	}
	for _, p := range h.Check() {
		if !settledLater[p.Field] && !aboutRuns(p.Field) {
			g.Add(finding.HeaderRepaired.At(noteOffset(n, p.Offset), "header repaired: %s", p.Error()))
		}
	}
	g.Runs, _ = h.Runs()
	h.Signature, h.ValidDump = winhdr.SignaturePAGE, h.Format().ValidDump
	h.MachineImageType, h.DumpType = h.Format().Machine, winhdr.DumpTypeFull
	return nil
}
