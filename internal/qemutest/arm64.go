package qemutest

import (
	"fmt"
	"strings"
	"sync"
)

// kindARM64 is the guest of [Config.GuestARM64].
var kindARM64 = func() *guestKind {
	k := &guestKind{folder: "guestarm64", board: virt}
	k.made = sync.OnceValues(k.build)
	return k
}()

var virt = &board{
	qemu: "qemu-system-aarch64", compiler: "aarch64-linux-gnu-gcc", objcopy: "aarch64-linux-gnu-objcopy",
	machine: "virt", cpu: "max", memory: "8M",
	console: func(file string) []string { return []string{"-serial", "file:" + file} },
	rests:   restsARM64,
	// No memory of its own has the attributes that unaligned access needs before the guest
	// has turned translation on.
	flags: []string{"-mstrict-align", "-fno-tree-loop-distribute-patterns", "-Wl,--no-warn-rwx-segments"},
}

// Where the CPUs of the guest of 64-bit Arm are at the end (testdata/guestarm64/guest.h):
// NT_IDLE, USER_CODE, and NT_VECTORS, to which exceptions lead.
const (
	idlePageARM64   = 0xfffff803f3208000
	userPageARM64   = 0x7ff612340000
	vectorPageARM64 = 0xfffff803f3002000
)

// restsARM64: QEMU does not show that a CPU waits for an interrupt, but there is only that
// instruction and a branch behind it, at which a CPU that waits is shown.
func restsARM64(line string) (rests, seen bool, err error) {
	var pc uint64
	if _, err := fmt.Sscanf(strings.TrimSpace(line), "PC=%x", &pc); err != nil {
		return false, false, nil //nolint:nilerr // another line
	}
	switch pc &^ 0xfff {
	case idlePageARM64:
		return pc%16 == 4, true, nil
	case userPageARM64:
		return pc&0xfff >= 0x100, true, nil
	case vectorPageARM64:
		return false, true, fmt.Errorf("exception at %#x of the guest's vectors", pc&0x7ff)
	}
	return false, true, nil
}
