package vmcore

import (
	"bytes"
	"strings"

	"windmp/physmem"
)

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
