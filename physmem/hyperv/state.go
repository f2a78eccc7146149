package hyperv

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"windmp/internal/binio"
	"windmp/physmem"
)

// stateDescriptor begins partition_state. Chunks follow from HeaderSize and 16 bytes on,
// without gaps.
type stateDescriptor struct {
	DescriptorSize uint64
	HeaderSize     uint64
	TotalSize      uint64
}

// chunk is the head of a chunk, 16 bytes; Size bytes follow.
type chunk struct {
	ID, Size uint32
	Reserved uint64
}

// Chunks that are the same for all machines (save_restore.rs, VmSaveChunkId). What they
// hold is not in the published list of each: the vendor and the guest's id are.
const (
	chunkProlog = 0x00000000 // u32 tag, u8 summary, three bytes, u32 vendor
	chunkOSID   = 0x20001000 // u64, what the guest wrote into HV_X64_MSR_GUEST_OS_ID
	chunkVP     = 0x30001000 // u32: what follows is of this processor
	chunkVTL    = 0x3001a000 // u8: what follows is of this VTL of the processor
	chunkEpilog = 0xf0000000
)

const (
	// stateGap is between the header and the first chunk.
	stateGap = 16
	// vendorAt is where the prolog has the vendor, vendorARM the one of Arm's.
	vendorAt  = 8
	vendorARM = 16
	// maxState caps the state in bytes, maxChunks its chunks. A processor takes some
	// KiB in 20 chunks, and a machine has at most 2048.
	maxState  = 1 << 28
	maxChunks = 1 << 20
	// maxVPs caps the processors.
	maxVPs = 1 << 12
	// maxChunk is more than the longest chunk that is looked into.
	maxChunk = 1 << 12
)

// machineState is what the partition's state says.
type machineState struct {
	*file
	cpus    []physmem.CPU
	machine physmem.Machine
	osID    uint64
	vps     map[uint32]*vp
	current *vp // nil in front of the first one
	vtl     uint8
	marked  bool // the VTL was said, by a chunk
	arm     bool
}

// vp is a processor: its chunks of VTL 0, which is Windows' kernel. VTL 1 is the secure
// kernel of virtualization-based security. What stands in front of the first mark of a
// VTL counts as VTL 0's, below what stands behind its mark.
type vp struct {
	index    uint32
	at       int64 // file offset of its first chunk
	chunks   map[uint32][]byte
	unmarked map[uint32][]byte
	others   bool // it has other VTLs
}

// processors reads the partition's state. Without one that makes sense there are no
// processors, with an oddity that says why.
func (s *savedState) processors() (*machineState, error) {
	m := &machineState{file: s.file, vps: map[uint32]*vp{}}
	k := s.state
	switch {
	case k.name == "":
		m.odd.Add(physmem.OddityCPU, 0, "the file has no partition_state: no processors")
		return m, nil
	case !binio.Within(k.off, k.size, m.size):
		m.lacks(k.off, k.size)
		m.odd.Add(physmem.OddityCPU, place(k.at), "the state of the processors is behind the end of the file")
		return m, nil
	case k.size > maxState:
		m.odd.Add(physmem.OddityLimit, place(k.at), "partition_state has %d bytes; at most %d are read", k.size, maxState)
		k.size = maxState
	}
	var d stateDescriptor
	head := make([]byte, binary.Size(d))
	if k.size < uint64(len(head)) {
		m.odd.Add(physmem.OddityCPU, place(k.at), "partition_state has %d bytes; its descriptor has %d", k.size, len(head))
		return m, nil
	}
	if err := m.read(head, k.off); err != nil {
		return nil, err
	}
	if _, err := binary.Decode(head, binary.LittleEndian, &d); err != nil {
		return nil, err
	}
	if d.HeaderSize > k.size || k.size-d.HeaderSize < stateGap {
		m.odd.Add(physmem.OddityCPU, place(k.off), "partition_state says that its chunks begin behind its end").Because("it has 0x%x bytes, they begin at 0x%x", k.size, d.HeaderSize)
		return m, nil
	}
	first := d.HeaderSize + stateGap
	if err := m.walk(k.off+first, k.size-first); err != nil {
		return nil, err
	}
	if m.arm {
		return nil, &physmem.UnsupportedError{Format: physmem.FormatHyperV, What: "a Hyper-V saved state of an Arm machine; only x86 is read", Hint: hintWinDbg}
	}
	m.decode()
	return m, nil
}

// walk goes through the chunks in n bytes from a file offset on.
func (m *machineState) walk(at, n uint64) error {
	var c chunk
	head := make([]byte, binary.Size(c))
	for range maxChunks {
		if n < uint64(len(head)) {
			break
		}
		if err := m.read(head, at); err != nil {
			return err
		}
		if _, err := binary.Decode(head, binary.LittleEndian, &c); err != nil {
			return err
		}
		if c.ID == chunkEpilog {
			return nil
		}
		at, n = at+uint64(len(head)), n-uint64(len(head))
		if uint64(c.Size) > n {
			m.odd.Add(physmem.OddityCPU, place(at), "a chunk goes past the end of partition_state; it and what follows are left out").Because("chunk 0x%08x of 0x%x bytes", c.ID, c.Size)
			return nil
		}
		if err := m.chunk(c, at); err != nil {
			return err
		}
		at, n = at+uint64(c.Size), n-uint64(c.Size)
	}
	m.odd.Add(physmem.OddityCPU, place(at), "partition_state ends without its last chunk")
	return nil
}

// chunk takes a chunk, whose bytes are at a file offset.
func (m *machineState) chunk(c chunk, at uint64) error {
	b := make([]byte, min(c.Size, maxChunk))
	if err := m.read(b, at); err != nil {
		return err
	}
	le := binary.LittleEndian
	switch {
	case c.ID == chunkProlog && len(b) >= vendorAt+4:
		m.arm = le.Uint32(b[vendorAt:]) == vendorARM
	case c.ID == chunkOSID && len(b) >= 8:
		m.osID = le.Uint64(b)
	case c.ID == chunkVP && len(b) >= 4:
		m.enter(le.Uint32(b), at)
	case c.ID == chunkVTL && len(b) >= 1:
		m.vtl, m.marked = b[0], true
		if m.current != nil && m.vtl != 0 {
			m.current.others = true
		}
	case m.current != nil && m.vtl == 0:
		m.keep(c, b, at)
	}
	return nil
}

// enter begins a processor.
func (m *machineState) enter(index uint32, at uint64) {
	m.vtl, m.marked = 0, false
	if m.current = m.vps[index]; m.current != nil {
		return
	}
	if len(m.vps) == maxVPs {
		m.odd.Add(physmem.OddityLimit, place(at), "more than %d processors; the others are left out", maxVPs)
		return
	}
	m.current = &vp{index: index, at: place(at), chunks: map[uint32][]byte{}, unmarked: map[uint32][]byte{}}
	m.vps[index] = m.current
}

// keep keeps a chunk of the current processor if it is one that is decoded.
func (m *machineState) keep(c chunk, b []byte, at uint64) {
	if !wanted(c.ID) {
		return
	}
	to := m.current.unmarked
	if m.marked {
		to = m.current.chunks
	}
	if _, twice := to[c.ID]; twice {
		m.odd.Add(physmem.OddityNoteDuplicate, place(at), "processor %d has a chunk twice; the first one is used", m.current.index).Because("chunk 0x%08x", c.ID)
		return
	}
	to[c.ID] = b
}

// chunkOf returns a chunk of VTL 0, nil if there is none.
func (v *vp) chunkOf(id uint32) []byte {
	if b, ok := v.chunks[id]; ok {
		return b
	}
	return v.unmarked[id]
}

// decode decodes the processors, in the order of their numbers.
func (m *machineState) decode() {
	list := make([]*vp, 0, len(m.vps))
	for _, v := range m.vps {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b *vp) int { return cmp.Compare(a.index, b.index) })
	for _, v := range list {
		r, problems := v.registers()
		for _, p := range problems {
			m.odd.Add(physmem.OddityCPU, v.at, "processor %d: %s", v.index, p)
		}
		if r == nil {
			continue
		}
		m.cpus = append(m.cpus, physmem.CPU{Index: len(m.cpus), ID: v.index, NoteOffset: v.at, Registers: r})
	}
	m.machine = physmem.MachineOf(m.cpus)
}

// guest says what the guest told Hyper-V that it is; empty if it did not, or in a way
// that is no Windows' (Hypervisor Top-Level Functional Specification, Reporting the
// Guest OS Identity).
func (m *machineState) guest() string {
	const (
		openSource, vendorShift, osShift = 63, 48, 40
		microsoft, windowsNT             = 1, 4
	)
	id := m.osID
	if id>>openSource != 0 || id>>vendorShift != microsoft || id>>osShift&0xff != windowsNT {
		return ""
	}
	return fmt.Sprintf("; the guest said that it is Windows NT %d.%d, build %d", id>>32&0xff, id>>24&0xff, id&0xffff)
}
