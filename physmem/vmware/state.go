package vmware

import (
	"context"
	"errors"
	"strings"

	"windmp/internal/binio"
	"windmp/physmem"
)

// state is a state file.
type state struct {
	name  string
	size  uint64
	magic uint32
	odd   physmem.Oddities

	regions     []region
	regionCount uint64
	hasCount    bool
	// memoryRead says that the group of the memory was read to its end.
	memoryRead bool
	// memory is the block of memory that is in the file, nil if there is none.
	memory *tag
	cpus   []*processor
	// cpuCount is how many processors the file says that there are, 0 if it does not.
	cpuCount uint64

	// What the group Checkpoint says of the machine: who saved it, its memory in
	// bytes, its kind.
	productName, productVersion string
	memSize, platform           uint64
}

// platformArm is the kind of an Arm machine; that of ESX 4.1 on x86 is 1.
const platformArm = 3

// readState reads the groups of a state file that say what is wanted.
func readState(ctx context.Context, src physmem.Source) (*state, error) {
	s := &state{name: src.Name(), size: binio.Uint64(src.Size())}
	var err error
	if s.magic, err = readMagic(src); err != nil {
		return nil, err
	}
	scan := &scanner{r: src, size: s.size}
	groups, err := s.readGroups(scan)
	if err != nil {
		return nil, err
	}
	left := maxTags
	for _, g := range groups {
		take := s.taker(g.name)
		if take == nil {
			continue
		}
		if err := s.readGroup(ctx, scan, g, &left, take); err != nil {
			return nil, err
		}
	}
	if err := s.refuse(); err != nil {
		return nil, err
	}
	return s, nil
}

// groupMemory is the name of the group of the memory.
const groupMemory = "memory"

// taker is what takes the tags of a group, nil if nothing in it is wanted.
func (s *state) taker(name string) func(*tag) {
	switch name {
	case "Checkpoint":
		return s.takeCheckpoint
	case groupMemory:
		return s.takeMemory
	case "cpu":
		return s.takeCPU
	}
	return nil
}

// checkEvery is after how many tags the context is asked.
const checkEvery = 1 << 10

// readGroup reads the tags of a group up to the null tag: the size that the table
// gives is not that of groups with memory.
func (s *state) readGroup(ctx context.Context, scan *scanner, g group, left *int, take func(*tag)) error {
	scan.at = g.at
	for ; *left > 0; *left-- {
		if *left%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at, _ := binio.Int64(scan.at)
		t, err := scan.tag(magics[s.magic].narrow)
		switch {
		case errors.Is(err, errEnd):
			s.odd.Add(physmem.OddityTruncated, at, "%s", physmem.Cut{Size: s.size}).Because("in group %q, at 0x%x", g.name, at)
			return nil
		case err != nil:
			return err
		case t == nil:
			s.memoryRead = s.memoryRead || g.name == groupMemory
			return nil
		}
		take(t)
	}
	s.odd.Add(physmem.OddityLimit, int64(g.at), "the file has more than the %d tags that are read; what follows in group %q is left out", maxTags, g.name) //nolint:gosec // inside the file
	return nil
}

// takeCheckpoint takes what the file says of the machine as a whole.
func (s *state) takeCheckpoint(t *tag) {
	v, ok := t.number()
	switch t.name {
	case "ProductName":
		s.productName = label(t.value)
	case "VersionNumber":
		s.productVersion = label(t.value)
	case "Platform":
		s.platform = v
	case "memSize":
		if ok && v <= maxPages {
			s.memSize = v << 20
		}
	}
}

// maxLabel is how much of a text is shown.
const maxLabel = 64

// label is a text of the file for people, empty if it can't be shown.
func label(b []byte) string { return text(b[:min(len(b), maxLabel)]) }

// product is who saved the state.
func (s *state) product() string {
	return strings.TrimSpace(s.productName + " " + s.productVersion)
}

// takeMemory takes what the file says of the memory.
func (s *state) takeMemory(t *tag) {
	switch t.name {
	case "regionsCount":
		if v, ok := t.number(); ok {
			s.regionCount, s.hasCount = v, true
		}
	case "regionPPN":
		s.takeRegion(t, fieldPPN)
	case "regionPageNum":
		s.takeRegion(t, fieldPageNum)
	case "regionSize":
		s.takeRegion(t, fieldPages)
	case "Memory":
		switch {
		case !t.block:
			s.odd.Add(physmem.OddityBadSegment, t.offset(), "the memory is no block; it is left out")
		case s.memory != nil || t.index != [3]uint32{}:
			s.odd.Add(physmem.OddityLimit, t.offset(), "there is a further block of memory, which is not read")
		default:
			s.memory = t
		}
	}
}

// refuse names what is not read.
func (s *state) refuse() error {
	refuse := func(what, hint string) error {
		return &physmem.UnsupportedError{Format: physmem.FormatVMware, What: what, Hint: hint}
	}
	switch m := s.memory; {
	case s.platform == platformArm:
		return refuse("a VMware state of an Arm machine; only x86 is read", "")
	case m != nil && (m.compressed || m.size != m.unpacked):
		return refuse("a VMware state with compressed memory, of which nobody has published how it is packed",
			"save the state again on Workstation or a newer ESXi, which keep the memory in a .vmem file, or make a dump with VMware's vmss2core")
	}
	return nil
}

// refuseLacking names a state whose memory is elsewhere, or nowhere.
func (s *state) refuseLacking() error {
	e := &physmem.UnsupportedError{
		Format: physmem.FormatVMware, What: "a VMware snapshot or suspend file without its memory",
		Hint: "its memory is in the .vmem file of the same name, which belongs beside it under that name; without the state it is raw memory: " + physmem.HintRaw,
	}
	if len(s.cpus) == 0 {
		e.What += ", and without processors: the snapshot may have been made without memory"
	}
	return e
}
