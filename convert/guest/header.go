package guest

import (
	"encoding/binary"
	"fmt"

	"windmp/convert/finding"
	"windmp/physmem"
	"windmp/winhdr"
)

// minHeader64 is the shortest note that still holds every field of a 64-bit
// header that has a meaning (through BootId at 0x1054): what follows is
// reserved and Windows fills it with 'PAGE'. In a 32-bit header that is so from
// 0xfc8 on, behind SystemTime.
const minHeader64, minHeader32 = 0x1058, 0xfc8

// headerNoteAdvice is for files with a header note that is not usable.
const headerNoteAdvice = "The note is written by the virtio-win fwcfg driver, with QEMU's -device vmcoreinfo. Install it and dump again."

// readHeader takes the guest's dump header from the VMCOREINFO note, checks it
// field by field, repairs what can be and refuses what can't. Then it lets the
// image place memory that only the header proves to be RAM. Without a note the
// header is built later, once the kernel is found.
func (g *Guest) ReadHeader() error {
	if raw := g.Image.DumpHeader(); raw != nil {
		return g.ReadDumpHeader(raw)
	}
	note := g.Image.GuestNote()
	if note == nil {
		g.Addf(finding.IDNoHeader, finding.SeverityInfo, "", "",
			"the source carries no Windows dump header (no VMCOREINFO note): Windows is looked for in its memory")
		return nil
	}
	raw, err := g.headerBytes(note)
	if err != nil {
		return err
	}
	g.Header, err = winhdr.DecodeHeader(raw)
	if err != nil {
		return g.Refuse(finding.Finding{ID: finding.IDHeaderBad, Where: noteOffset(note, 0), Message: err.Error()}, err)
	}
	if err := g.repairHeader(note); err != nil {
		return err
	}
	g.recoverMemory()
	return nil
}

// unsupported refuses a file for what it is, not for being damaged.
func (g *Guest) unsupported(f finding.Finding) error {
	e := g.Refuse(f, nil)
	e.Unsupported = true
	return e
}

// noteOffset names a place in the note's payload.
func noteOffset(n *physmem.Note, field int) string {
	return fmt.Sprintf("file offset %#x, header offset %#x", n.Offset+int64(field), field)
}

// headerBytes recognises the payload and brings it to exactly the size of a header.
func (g *Guest) headerBytes(n *physmem.Note) ([]byte, error) {
	if release, ok := physmem.LooksLikeLinux(n.Desc); ok {
		return nil, g.unsupported(finding.Finding{
			ID: finding.IDNotWindows, Where: noteOffset(n, 0),
			Message: fmt.Sprintf("the VMCOREINFO note is a Linux guest's (kernel %s)", finding.Quote(release)),
			Advice:  "Use crash or drgn for Linux guests.",
		})
	}
	if len(n.Desc) < 8 {
		return nil, g.unsupported(finding.Finding{
			ID: finding.IDNotWindows, Where: noteOffset(n, 0),
			Message: fmt.Sprintf("the VMCOREINFO note holds %d bytes, a Windows header is %#x or %#x", len(n.Desc), winhdr.Size64, winhdr.Size32),
			Advice:  headerNoteAdvice,
		})
	}
	sig, valid := binary.LittleEndian.Uint32(n.Desc), binary.LittleEndian.Uint32(n.Desc[4:])
	is32 := valid != winhdr.ValidDumpDU64 && IsHeader32(n.Desc)
	if sig != winhdr.SignaturePAGE && valid != winhdr.ValidDumpOf(is32) {
		return nil, g.unsupported(finding.Finding{
			ID: finding.IDNotWindows, Where: noteOffset(n, 0),
			Message: fmt.Sprintf("the VMCOREINFO note is no Windows header: it begins with %s, expected \"PAGEDU64\" or \"PAGEDUMP\"", finding.Quote(string(n.Desc[:8]))),
			Advice:  headerNoteAdvice,
		})
	}
	return g.sizeHeader(n, is32)
}

// sizeHeader cuts a longer payload and fills a slightly shorter one, as Windows
// fills what it does not set.
func (g *Guest) sizeHeader(n *physmem.Note, is32 bool) ([]byte, error) {
	size, least := winhdr.HeaderSize(is32), minHeader64
	if is32 {
		least = minHeader32
	}
	if len(n.Desc) == size {
		return n.Desc, nil
	}
	if len(n.Desc) < least {
		return nil, g.Refuse(finding.Finding{
			ID: finding.IDHeaderBad, Where: noteOffset(n, len(n.Desc)),
			Message: fmt.Sprintf("the header note ends after %#x bytes, expected %#x", len(n.Desc), size),
			Advice:  headerNoteAdvice,
		}, nil)
	}
	g.Addf(finding.IDNoteSize, finding.SeverityWarn, noteOffset(n, 0), "",
		"the header note holds %#x bytes, expected %#x: all fields are there, the reserved tail is cut or filled", len(n.Desc), size)
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
func (g *Guest) repairHeader(n *physmem.Note) error {
	h := g.Header
	if h.MachineImageType == winhdr.MachineARM64 {
		return g.unsupported(finding.Finding{
			ID: finding.IDHeaderBad, Where: noteOffset(n, h.Offset("MachineImageType")),
			Message: "the header is that of an Arm guest, in the core of an x64 machine", Advice: "Only x64 and 32-bit x86 guests are converted.",
		})
	}
	runs, runProblems := h.Runs()
	if runs == nil {
		p := runProblems[len(runProblems)-1]
		return g.Refuse(finding.Finding{
			ID: finding.IDRunTable, Where: noteOffset(n, p.Offset),
			Message: "header: the table of physical memory can't be used: " + p.Error(), Advice: headerNoteAdvice,
		}, p)
	}
	for _, p := range h.Check() {
		if !settledLater[p.Field] {
			g.Addf(finding.IDHeaderRepaired, finding.SeverityWarn, noteOffset(n, p.Offset), "", "header repaired: %s", p.Error())
		}
	}
	g.Runs = runs
	h.Signature, h.ValidDump = winhdr.SignaturePAGE, winhdr.ValidDumpOf(h.Is32())
	h.MachineImageType, h.DumpType = h.Machine(), winhdr.DumpTypeFull
	return nil
}

// isHeader32 tells a 32-bit header by its machine type, at 0x20 (mindumpdef.h,
// DUMP_HEADER32): a 64-bit one with a wrong signature has an address there.
func IsHeader32(head []byte) bool {
	const machineAt = 0x20
	return len(head) >= machineAt+4 && binary.LittleEndian.Uint32(head[machineAt:]) == winhdr.MachineI386
}
