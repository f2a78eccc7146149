package hyperv

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"windmp/internal/binio"
	"windmp/physmem"
)

// savedState is what the keys of a file say of a guest (FORMAT.md, appendix A).
type savedState struct {
	*file
	version  uint64 // of the virtual machine, major and minor number of 8 bits
	kind     string // "Normal", "Snapshot", ...; empty if the file does not say it
	state    key    // partition_state; without a name if there is none
	blocks   []memoryBlock
	ram      []ramBlock // by number
	packed   int        // how many of those are compressed
	settings bool       // it has the settings of a machine
	old      bool       // it has keys of VM versions up to 5.0
}

// blockValue is the value of a memory block's key: a stretch of guest-physical memory
// whose pages have consecutive numbers in the RAM blocks.
type blockValue struct {
	Version   uint32
	Flags     uint32 // 1 hot-added, 2 SGX, 4 of VTL 2, 8 for a specific purpose
	Pages     uint64
	FirstPage uint64 // its number in the RAM blocks
	GuestPage uint64 // where the guest has it, as number of a page
	Node      uint32
	Reserved  uint32
	ID        uint64
}

// memoryBlock is a memory block, RamMemoryBlock0 and so on.
type memoryBlock struct {
	blockValue
	number uint32
	at     uint64 // file offset of its key
}

// ramBlock is a MiB of memory, RamBlock0 and so on: where the file has it.
type ramBlock struct {
	number uint32
	size   uint32 // in the file; less than blockSize if it is compressed
	off    uint64
	cut    bool // it is plain, and the file ends in it
}

const (
	// blockSize is the memory of a RAM block in bytes, blockPages in pages.
	blockSize  = 1 << 20
	blockPages = blockSize / physmem.PageSize
	// maxRAMBlocks caps them: 2 TiB of memory, whose table takes 48 MiB.
	maxRAMBlocks = 1 << 21
	// maxMemoryBlocks caps the memory blocks; machines have one for each stretch of
	// memory and node.
	maxMemoryBlocks = 1 << 12
	// blockVersion is the only version of a memory block's value, which VM versions
	// above versionOld have.
	blockVersion = 3
	versionOld   = 0x500
	// maxKind is how long the kind of a saved state may be, in letters.
	maxKind = 32
)

// take takes a key.
func (s *savedState) take(k key) (err error) {
	s.settings = s.settings || k.dir == dirProperties || k.dir == dirConfig
	s.old = s.old || k.dir == dirOld
	switch {
	case k.dir == dirSaved && k.name == "VmVersion", k.dir == dirProperties && k.name == "version" && s.version == 0:
		var v uint64
		if v, err = s.number(k); v != 0 {
			s.version = v
		}
	case k.dir == dirSaved && k.name == "type":
		s.kind, err = s.text(k, maxKind)
	case k.dir == dirVM && k.name == "partition_state" && s.state.name == "":
		s.state = k
	case k.dir == dirSaved && k.kind == keyArray:
		if n, ok := numbered(k.name, "RamMemoryBlock"); ok {
			return s.takeMemoryBlock(k, n)
		}
		if n, ok := numbered(k.name, "RamBlock"); ok {
			s.takeRAMBlock(k, n)
		}
	}
	return err
}

// numbered returns the number behind a name, false if it is another name.
func numbered(name, prefix string) (uint32, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), ok && err == nil && strconv.FormatUint(n, 10) == digits
}

// takeMemoryBlock takes the value of a memory block.
func (s *savedState) takeMemoryBlock(k key, number uint32) error {
	m := memoryBlock{number: number, at: k.at}
	size := binary.Size(m.blockValue)
	if len(s.blocks) == maxMemoryBlocks {
		s.odd.Add(physmem.OddityLimit, place(k.at), "more than %d memory blocks; the others are left out", maxMemoryBlocks)
		return nil
	}
	if !binio.Within(k.off, k.size, s.size) {
		s.lacks(k.off, k.size)
		return nil
	}
	if k.size != uint64(size) { //nolint:gosec // a constant
		return s.unknownBlock(k, fmt.Sprintf("memory blocks of %d bytes, and %d are known", k.size, size))
	}
	b := make([]byte, size)
	if err := s.read(b, k.off); err != nil {
		return err
	}
	if _, err := binary.Decode(b, binary.LittleEndian, &m.blockValue); err != nil {
		return err
	}
	switch {
	case m.Version != blockVersion:
		return s.unknownBlock(k, fmt.Sprintf("memory blocks of version %d, and %d is known", m.Version, blockVersion))
	case m.Pages == 0:
		return nil
	case m.GuestPage >= physmem.MaxPFN || m.Pages > physmem.MaxPFN-m.GuestPage || m.FirstPage >= physmem.MaxPFN || m.Pages > physmem.MaxPFN-m.FirstPage:
		s.odd.Add(physmem.OddityBadSegment, place(k.off), "memory block %d is no physical memory; it is left out", number).Because("0x%x pages from page 0x%x", m.Pages, m.GuestPage)
		return nil
	}
	s.blocks = append(s.blocks, m)
	return nil
}

// unknownBlock refuses memory blocks whose layout is not published.
func (s *savedState) unknownBlock(k key, what string) error {
	return &physmem.UnsupportedError{
		Format: physmem.FormatHyperV,
		What:   fmt.Sprintf("a Hyper-V saved state with %s (%s)", what, k),
		Hint:   hintWinDbg,
	}
}

// takeRAMBlock notes where a RAM block is.
func (s *savedState) takeRAMBlock(k key, number uint32) {
	switch {
	case k.size == 0 || k.size > blockSize:
		s.odd.Add(physmem.OddityBadSegment, place(k.at), "RAM block %d of %d bytes is left out; they have %d at most", number, k.size, blockSize)
		return
	case len(s.ram) == maxRAMBlocks:
		s.odd.Add(physmem.OddityLimit, place(k.at), "more than %d RAM blocks; the others are left out", maxRAMBlocks)
		return
	}
	size := binio.Clip(k.off, k.size, s.size)
	if size < k.size {
		s.lacks(k.off, k.size)
		// Of a compressed one that is cut, nothing is told by a checksum.
		if size /= physmem.PageSize; k.size < blockSize || size == 0 {
			return
		}
		size *= physmem.PageSize
	}
	s.ram = append(s.ram, ramBlock{number: number, size: uint32(size), off: k.off, cut: size < k.size}) //nolint:gosec // at most blockSize
}

// Ways out of what is not read.
const (
	hintWinDbg = "open it in WinDbg on a Windows as new as its host, and write a full dump there with .dump /f"
	hintSave   = "save the machine (Save-VM), or take a standard checkpoint of it, and take the .vmrs file of that"
)

// check refuses, by name, a file of the format that is no saved state with memory, and
// brings what it found in order.
func (s *savedState) check() error {
	refuse := func(what, hint string) error {
		return &physmem.UnsupportedError{Format: physmem.FormatHyperV, What: what, Hint: hint}
	}
	switch {
	case s.version != 0 && s.version <= versionOld, s.old && len(s.blocks) == 0:
		return refuse("a Hyper-V saved state of VM version 5.0 or below (Windows Server 2012 R2 and before), whose memory is in a .bin file or under other keys", hintWinDbg)
	case len(s.blocks) > 0:
	case s.until > s.size:
		return &physmem.FormatError{
			Format: physmem.FormatHyperV, Offset: objectsAt, Field: "keys", Reason: "those of the memory are behind the end of the file",
			Hint: physmem.HintIncomplete, Cut: s.cut(),
		}
	case s.state.name == "" && s.settings:
		return refuse("settings of a Hyper-V machine (.vmcx), or the state of one that runs (.vmrs): there is no memory in it", hintSave)
	default:
		return refuse("a Hyper-V file without memory: that of a running machine, or of a production checkpoint, which holds disks alone", hintSave)
	}
	slices.SortStableFunc(s.blocks, func(a, b memoryBlock) int { return cmp.Compare(a.number, b.number) })
	slices.SortStableFunc(s.ram, func(a, b ramBlock) int { return cmp.Compare(a.number, b.number) })
	s.dropTwice()
	for _, r := range s.ram {
		if r.isPacked() {
			s.packed++
		}
	}
	return nil
}

// dropTwice leaves one of the keys of each block, the first of them.
func (s *savedState) dropTwice() {
	s.blocks = slices.CompactFunc(s.blocks, func(a, b memoryBlock) bool {
		if a.number == b.number && a.blockValue != b.blockValue {
			s.odd.Add(physmem.OddityConflict, place(b.at), "memory block %d is there twice; the first one is used", b.number)
		}
		return a.number == b.number
	})
	s.ram = slices.CompactFunc(s.ram, func(a, b ramBlock) bool {
		if a.number == b.number && a != b {
			s.odd.Add(physmem.OddityConflict, place(b.off), "RAM block %d is there twice; the first one is used", b.number).Because("at 0x%x and at 0x%x", a.off, b.off)
		}
		return a.number == b.number
	})
}
