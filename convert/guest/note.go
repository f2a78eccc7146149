package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/physmem"
	"windmp/winhdr"
	"windmp/winhdr/problem"
)

// The note is a page of the guest's memory that a driver filled once, at its start,
// and that the host reads much later: the driver may have gone, or the guest may have
// booted again. What it says is therefore one way to the kernel among others.

// span is a range of indices.
type span struct{ from, to int }

// decodeNote is the header in the note, or why there is none.
func (g *finder) decodeNote(n *physmem.Note) (*winhdr.Header, *finding.Finding) {
	useless := func(field int, format string, args ...any) *finding.Finding {
		f := finding.NoteUseless.At(noteOffset(n, field), "the VMCOREINFO note is of no use, Windows is looked for in memory: "+format, args...)
		return &f
	}
	formats := machine.Formats(g.machines)
	format, ok := winhdr.Recognise(n.Desc, formats...)
	switch {
	case !ok && len(n.Desc) < signatureSize:
		return nil, useless(0, "it holds %d bytes, a Windows header is %s", len(n.Desc),
			eachFormat(formats, "or", func(f *winhdr.Format) string { return fmt.Sprintf("%d", f.Size()) }))
	case !ok:
		return nil, useless(0, "it begins with %s, expected %s", finding.Quote(string(n.Desc[:signatureSize])), eachFormat(formats, "or", signature))
	case len(n.Desc) < format.LeastSize:
		return nil, useless(len(n.Desc), "the header in it ends after %d bytes, expected %d", len(n.Desc), format.Size())
	}
	h, _ := format.Decode(g.sizeNote(n, format)) // which has the right size
	if other := winhdr.Unread(h.MachineImageType); other != "" {
		return nil, useless(h.Offset("MachineImageType"), "the header in it is that of a %s guest", other)
	}
	return h, nil
}

// signatureSize is what a header begins with, bytes: two signatures.
const signatureSize = 8

// signature is what a header of a format begins with.
func signature(f *winhdr.Format) string {
	signed := binary.LittleEndian.AppendUint32(nil, winhdr.SignaturePAGE)
	return strconv.Quote(string(binary.LittleEndian.AppendUint32(signed, f.ValidDump)))
}

// eachFormat says something of each form of header that is read, joined by a word, and
// once where several have it in common.
func eachFormat(formats []*winhdr.Format, word string, say func(f *winhdr.Format) string) string {
	out := make([]string, 0, len(formats))
	for _, f := range formats {
		if x := say(f); !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return strings.Join(out, " "+word+" ")
}

// sizeNote cuts a longer payload and fills a slightly shorter one, as Windows fills
// what it does not set.
func (g *finder) sizeNote(n *physmem.Note, format *winhdr.Format) []byte {
	size := format.Size()
	if len(n.Desc) == size {
		return n.Desc
	}
	g.Add(finding.NoteSize.At(noteOffset(n, 0),
		"the header note holds %d bytes, expected %d: all fields are there, the reserved tail is cut or filled", len(n.Desc), size))
	raw := make([]byte, size)
	problem.PageFill(raw)
	copy(raw, n.Desc)
	return raw
}

// setAside goes on without the header in the note, with the memory that was there
// before it, and says what was wrong with it in place of what was repaired.
func (g *finder) setAside(why error) {
	g.Image, g.Recovered = g.unplaced, 0
	var nowhere leadsNowhere
	if errors.As(why, &nowhere) {
		g.dropHeader("it leads to no kernel", nowhere[0])
	} else {
		g.dropHeader("it leads to a kernel of an earlier boot", why.Error())
	}
	g.machine = g.recordedMachine()
}

// dropHeader is setAside for a guest that was found already.
func (g *finder) dropHeader(why, seen string) {
	g.aside = g.original
	g.Header, g.original, g.reasons, g.Runs, g.Built = nil, nil, nil, nil, true
	g.All = slices.Replace(g.All, g.noted.from, g.noted.to,
		finding.NoteStale.At(noteOffset(g.Image.GuestNote(), 0), "the header in the VMCOREINFO note is not believed, Windows is looked for as if it were not there: %s", why).Because(seen))
}

// ofKernel tells whether a header is that of the kernel that was found.
func (g *finder) ofKernel(h *winhdr.Header) bool {
	d := &g.Kernel.Data
	return h.PsLoadedModuleList == d.PsLoadedModuleList && h.PsActiveProcessHead == d.PsActiveProcessHead
}

// fillGaps takes what nothing in the guest's memory says from the note, if that is of
// the same kernel, though it did not lead there.
func (g *finder) fillGaps() {
	h, n := g.Header, g.aside
	if n == nil || n.Format() != h.Format() || !g.ofKernel(n) {
		return
	}
	var filled []string
	if g.SharedUserData == nil {
		filled = append(filled, "times", "product type")
		h.SystemTime, h.SystemUpTime = n.SystemTime, n.SystemUpTime
		h.ProductType, h.SuiteMask = n.ProductType, n.SuiteMask
	}
	if h.MinorVersion < h.Format().MinBuild && n.Format().Builds(n.MinorVersion) {
		filled = append(filled, "build number")
		h.MajorVersion, h.MinorVersion = n.MajorVersion, n.MinorVersion
	}
	if len(filled) > 0 {
		g.Add(finding.NoteFills.At(noteOffset(g.Image.GuestNote(), 0), "taken from the note, as the guest's memory does not say it: %s", strings.Join(filled, ", ")))
	}
}

// asideRuns is the table of memory in such a note, nil if that can't be used either;
// why is what is wrong with the kernel's own.
func (g *finder) asideRuns(why error) physmem.Runs {
	if g.aside == nil || !g.ofKernel(g.aside) {
		return nil
	}
	runs, _ := g.aside.Runs()
	if runs == nil || g.holdsNeeded(runs) != nil {
		return nil
	}
	g.Add(finding.RunsKept.At(g.memoryBlock(), "the kernel's own table of memory can't be used, the note's is").Because(why))
	return runs
}

// settleFields holds the fields of the guest's header against the kernel's own word,
// which is newer.
func (g *finder) settleFields() {
	h := g.Header
	if major, minor := g.version(); minor >= h.Format().MinBuild {
		if major != 0 {
			settle(g, "MajorVersion", &h.MajorVersion, major)
		}
		settle(g, "MinorVersion", &h.MinorVersion, minor)
	}
	if g.machine.Stated != nil {
		settle(g, "PaeEnabled", &h.PaeEnabled, g.machine.PaeEnabled(g.Memory.Space.Mode))
	}
	if k := g.SharedUserData; k != nil {
		fill(&h.ProductType, k.NtProductType)
		fill(&h.SuiteMask, k.SuiteMask)
		settle(g, "ProductType", &h.ProductType, k.NtProductType)
		settle(g, "SuiteMask", &h.SuiteMask, k.SuiteMask)
	}
}

// fill sets a field that Windows left as it was, which is no fault of it.
func fill(at *uint32, kernel uint32) {
	if *at == winhdr.SignaturePAGE {
		*at = kernel
	}
}

// settle writes what the kernel says into a field that differs.
func settle[T uint8 | uint32](g *finder, field string, at *T, kernel T) {
	was := *at
	if was == kernel {
		return
	}
	*at = kernel
	g.because(field, "as the kernel itself says")
	g.Add(finding.HeaderRepaired.At(noteOffset(g.Image.GuestNote(), g.Header.Offset(field)), "header repaired: %s %d, the kernel says %d", field, was, kernel))
}
