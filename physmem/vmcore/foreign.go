package vmcore

import (
	"bytes"
	"debug/elf"
	"strings"

	"windmp/internal/binio"
	"windmp/physmem"
)

// xenPages is the section of a Xen core that holds the guest's pages; such a core has
// no program headers (Xen docs/misc/dump-core-format.txt).
const xenPages = ".xen_pages"

// Caps of what is looked at to recognise a Xen core, which has seven sections.
const (
	maxSections     = 64
	maxSectionNames = 0x1000
)

// isXen reports whether a core without program headers is one of Xen's.
func (f *elfFile) isXen() bool {
	l, h := f.layout, &f.hdr
	count := uint64(h.Shnum)
	if uint64(h.Shentsize) != l.sectionSize || count > maxSections || uint64(h.Shstrndx) >= count ||
		!binio.Within(h.Shoff, count*l.sectionSize, f.size) {
		return false
	}
	var names elf.Section64
	if f.section(uint64(h.Shstrndx), &names) != nil {
		return false
	}
	table, err := binio.ReadBytes(f.r, names.Off, names.Size, maxSectionNames)
	if err != nil {
		return false
	}
	for i := range count {
		var s elf.Section64
		if f.section(i, &s) != nil {
			return false
		}
		if uint64(s.Name) < uint64(len(table)) && bytes.HasPrefix(table[s.Name:], []byte(xenPages+"\x00")) {
			return true
		}
	}
	return false
}

// refuseXen names a Xen core.
func refuseXen() error {
	return &physmem.UnsupportedError{
		Format: physmem.FormatELF,
		What:   "a Xen core (xl dump-core)",
		Hint:   "have Windows write the dump: xl trigger NAME nmi makes it crash",
	}
}

// takeProcess takes the name of a process from a note about it: prpsinfo has the
// first 15 bytes of the program's name (elf.h of Linux, elf_prpsinfo.pr_fname), the
// list of mapped files its path.
func (t *noteTable) takeProcess(n physmem.Note) {
	const nameAt, nameSize = 40, 16
	switch {
	case n.Type == ntPrpsinfo && len(n.Desc) >= nameAt+nameSize:
		name, _, _ := bytes.Cut(n.Desc[nameAt:nameAt+nameSize], []byte{0})
		t.process = string(name)
	case n.Type == ntFile && t.process == "":
		t.process = hypervisorOf(n.Desc)
	}
}

// hypervisorOf returns the program of hypervisors whose path is in a list of mapped
// files, each of which ends in a zero; empty if there is none.
func hypervisorOf(files []byte) string {
	for _, h := range hypervisors {
		for _, p := range h.programs {
			path := "/" + p
			if !strings.HasSuffix(p, "-") {
				path += "\x00"
			}
			if bytes.Contains(files, []byte(path)) {
				return p
			}
		}
	}
	return ""
}

// hypervisors are the programs of which a core holds a guest's memory, by the first 15
// bytes of their names; of those that end in "-", more follows.
var hypervisors = []struct {
	programs   []string
	what, hint string
}{
	{
		[]string{"qemu-system-", "qemu-kvm", "kvm"},
		"a core of a QEMU process, not of its guest",
		"take the guest's memory out of it with gdb and QEMU's script dump-guest-memory.py",
	},
	{
		[]string{"VBoxHeadless", "VirtualBoxVM"},
		"a core of a VirtualBox process, not of its guest",
		"dump a running machine with VBoxManage debugvm NAME dumpvmcore --filename FILE",
	},
}

// refuseProcess names the core of a process.
func (t *noteTable) refuseProcess() error {
	for _, h := range hypervisors {
		for _, p := range h.programs {
			if t.process == p || strings.HasSuffix(p, "-") && strings.HasPrefix(t.process, p) {
				return &physmem.UnsupportedError{Format: physmem.FormatELF, What: h.what, Hint: h.hint}
			}
		}
	}
	return &physmem.UnsupportedError{
		Format: physmem.FormatELF,
		What:   "an ELF core of a process, not of a machine",
		Hint:   "use the dump that was made of the virtual machine, not of the process that ran it",
	}
}
