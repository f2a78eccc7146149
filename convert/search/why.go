package search

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/internal/binio"
	"windmp/kdbg"
	"windmp/kdbg/peimage"
	"windmp/physmem"
	"windmp/vtop"
)

// maxSeen bounds the vCPUs that are looked at for the reason of a failure.
const maxSeen = 16

// evidence is what the search saw on its way, for the sentence that says why it
// failed.
type evidence struct {
	kernel *peimage.Image   // a kernel's image without a block
	others []*peimage.Image // images that vCPUs run in
	unread error            // page tables that the file lacks
	early  *peimage.Image   // a kernel's image that a vCPU led to where KUSER_SHARED_DATA is not set yet
	unset  bool             // some page tables lead to such a page
}

// see looks at where a vCPU is.
func (e *evidence) see(mem kdbg.Memory, c vcpu) {
	early := errors.Is(confirm(mem), kdbg.ErrNotSet)
	_, err := mem.Space.Translate(mem.Layout.SharedUserData)
	if err == nil && !early {
		return
	}
	if vtop.Faulted(err, vtop.TableUnreadable) {
		e.unread = err
	}
	var hints []vtop.VA
	if c.InKernel {
		hints = append(hints, c.Kernel.IP)
	}
	if handler, err := mem.Gate(c.Kernel.IDT, 0); err == nil {
		hints = append(hints, handler)
	}
	for _, va := range hints {
		switch image, err := mem.FindImage(va); {
		case err != nil:
		case !IsKernel(mem, image):
			e.image(image)
		case early:
			e.early = image
		}
	}
}

// image notes an image that is not the kernel.
func (e *evidence) image(im *peimage.Image) {
	if len(e.others) < reasonsShown {
		e.others = append(e.others, im)
	}
}

// named finds an image by its export name or the name of its symbols, without
// the suffix.
func (e *evidence) named(names ...string) *peimage.Image {
	for _, im := range e.others {
		if imageIs(im, names) {
			return im
		}
	}
	return nil
}

// reasons are the attempts, joined.
func (d *discovery) reasons() string {
	if len(d.attempts) == 0 {
		return "no page tables of a Windows kernel were found"
	}
	return strings.Join(d.attempts, "; ")
}

// diagnose says, as far as can be told, why no kernel was found.
func (d *discovery) diagnose() finding.Finding {
	for i, c := range d.vcpus() {
		if i == maxSeen {
			break
		}
		d.evidence.see(d.own(&c), c)
	}
	for _, ask := range []func() (finding.Finding, bool){d.encrypted, d.secureKernel, d.bootLoader, d.tooEarly, d.kernelWithoutBlock, d.blockWithoutTables, d.otherSystem, d.otherPages, d.foreignTables, d.tablesMissing, d.firmware} {
		if f, ok := ask(); ok {
			return f
		}
	}
	return d.noWindows()
}

// noWindows is the reason where no other is known.
func (d *discovery) noWindows() finding.Finding {
	return finding.NoKDBG.WithAdvice("If this is a Windows guest, dump it again with all of its memory, or give the root of its page tables, its kernel base or its KDBG.").At("", "no Windows kernel was found in the memory").Because(d.reasons())
}

// secureKernel: the vCPUs were stopped in the hypervisor or the secure kernel that
// Windows runs beneath and beside itself (virtualization-based security).
func (d *discovery) secureKernel() (finding.Finding, bool) {
	im := d.evidence.named(slices.Concat(secureKernels, hypervisors)...)
	if im == nil {
		return finding.Finding{}, false
	}
	return finding.SecureKernel.At("VA "+im.Base.String(),
		"the vCPUs were stopped in %s, whose page tables are not those of Windows' kernel (virtualization-based security), and these were not found in memory", ImageName(im)), true
}

func (d *discovery) bootLoader() (finding.Finding, bool) {
	what := "Windows is still booting"
	im := d.evidence.named("winload", "bootmgfw", "bootmgr", "bootx64")
	if im == nil {
		im, what = d.evidence.named("winresume"), "Windows is being resumed from hibernation"
	}
	if im == nil {
		return finding.Finding{}, false
	}
	return finding.NotBooted.At("VA "+im.Base.String(), "%s: a vCPU runs %s", what, ImageName(im)), true
}

// tooEarly: the kernel is there, but it has not filled the page by which page tables
// are known for its own.
func (d *discovery) tooEarly() (finding.Finding, bool) {
	im := d.evidence.early
	if im == nil && (!d.evidence.unset || len(d.blocks) == 0) {
		return finding.Finding{}, false
	}
	where, name := "", ""
	if im != nil {
		where, name = "VA "+im.Base.String(), " "+ImageName(im)
	}
	return finding.NotBooted.WithAdvice("Dump the guest when it runs.").At(where,
		"it is too early: the kernel%s has only just started, KUSER_SHARED_DATA is not set yet", name), true
}

func (d *discovery) kernelWithoutBlock() (finding.Finding, bool) {
	im := d.evidence.kernel
	if im == nil {
		return finding.Finding{}, false
	}
	return finding.NotBooted.WithAdvice("Dump the guest with all of its memory, when it runs.").At("VA "+im.Base.String(),
		"the kernel %s is loaded but has no KDBG: the guest was in early boot or going through hibernation, or the page is not in the file", ImageName(im)).Because(d.reasons()), true
}

// blockWithoutTables: the memory is Windows', but no page tables lead to it.
func (d *discovery) blockWithoutTables() (finding.Finding, bool) {
	if len(d.blocks) == 0 {
		return finding.Finding{}, false
	}
	if f, ok := d.foreignTables(); ok {
		return f, ok
	}
	if d.evidence.unread != nil {
		return d.tablesMissing()
	}
	c := d.blocks[0]
	return finding.KernelUnmapped.At(fmt.Sprintf("PA %#x", c.At),
		"memory holds a KDBG, but no vCPU and no page table in memory maps its kernel").Because(d.reasons()), true
}

// foreignTables: no vCPU ran on page tables of a layout that is read.
func (d *discovery) foreignTables() (finding.Finding, bool) {
	layout, by := "", ""
	cpus := d.view.Image.CPUs()
	for i := range cpus {
		m := machine.Of(&cpus[i], d.known.Machines)
		if m == nil {
			continue
		}
		s := m.State(&cpus[i])
		if s.Paged || !s.HasSystem {
			return finding.Finding{}, false
		}
		layout, by = cmp.Or(layout, s.Foreign), cmp.Or(by, s.ForeignBy)
	}
	if layout == "" {
		return finding.Finding{}, false
	}
	return finding.TablesForeign.At("", "the vCPUs ran on page tables of a layout that is not read here: %s", layout).Because(by), true
}

// tablesMissing: a vCPU's page tables are not in the file.
func (d *discovery) tablesMissing() (finding.Finding, bool) {
	if d.evidence.unread == nil {
		return finding.Finding{}, false
	}
	return finding.RootAbsent.At("", "the vCPUs' page tables are not in the file, which holds only a part of the guest's memory").Because(d.evidence.unread), true
}

// firmware: no vCPU has left the page tables, or lack of them, of firmware.
func (d *discovery) firmware() (finding.Finding, bool) {
	cpus := d.view.Image.CPUs()
	unpaged, flat := 0, 0
	for i := range cpus {
		m := machine.Of(&cpus[i], d.known.Machines)
		if m == nil {
			continue
		}
		s := m.State(&cpus[i])
		switch {
		case !s.HasSystem:
		case !s.Paged:
			unpaged++
		default:
			if t, err := s.Space(d.view).Translate(s.Kernel.IP); err == nil && uint64(t.PA) == uint64(s.Kernel.IP) {
				flat++
			}
		}
	}
	if len(cpus) == 0 || unpaged+flat < len(cpus) {
		return finding.Finding{}, false
	}
	return finding.NotBooted.WithAdvice("Dump the guest when Windows runs.").At("",
		"only firmware or a boot loader was running: of %s %d had no paging, %d ran where addresses are physical ones", binio.Plural(len(cpus), "vCPU"), unpaged, flat), true
}

// otherSystem looks for the banner that a Linux kernel keeps in its memory.
func (d *discovery) otherSystem() (finding.Finding, bool) {
	const window = 2 << 20
	var buf []byte
	for _, r := range DataRanges(d.view.Image) {
		for at := r.Start; at < r.End() && d.ctx.Err() == nil; at += window - bannerSpan {
			size := min(r.End()-at, window)
			buf = slices.Grow(buf[:0], int(size))[:size]
			n, _ := d.view.Image.ReadAt(buf, int64(at)) //nolint:gosec // below 2^52
			if release, off, ok := linuxBanner(buf[:n]); ok {
				return finding.OtherSystem.At(fmt.Sprintf("PA %#x", at+uint64(off)), //nolint:gosec // an index
					"this is no Windows guest: its memory holds the banner of Linux %s", finding.Quote(release)), true
			}
			if r.End()-at <= window {
				break
			}
		}
	}
	return finding.Finding{}, false
}

// otherPages: the kernel works with pages that are not read, as its block says. A source
// without system registers tells it by nothing else.
func (d *discovery) otherPages() (finding.Finding, bool) {
	if len(d.foreign) == 0 {
		return finding.Finding{}, false
	}
	at, size := d.foreign[0].At, d.foreign[0].PageSize
	return finding.TablesForeign.At(fmt.Sprintf("PA %#x", at),
		"memory holds the block of a kernel with pages of %s: page tables of this layout are not read here, but those of pages of %s are", binio.Bytes(size), binio.Bytes(uint64(physmem.PageSize))), true
}

// bannerSpan bounds a banner's length, bytes.
const bannerSpan = 512

// linuxBanner finds "Linux version 6.1.0 (builder@host) (compiler) #1 …", as
// /proc/version has it (Linux init/version.c).
func linuxBanner(b []byte) (release string, off int, ok bool) {
	const start = "Linux version "
	for base := 0; ; {
		i := bytes.Index(b[base:], []byte(start))
		if i < 0 {
			return "", 0, false
		}
		at := base + i
		text := b[at+len(start) : min(len(b), at+bannerSpan)]
		name, rest, _ := bytes.Cut(text, []byte(" ("))
		if len(name) > 0 && len(name) < 128 && name[0] >= '1' && name[0] <= '9' && bytes.Contains(rest, []byte(") #")) {
			return string(name), at, true
		}
		base = at + len(start)
	}
}
