package plan

import (
	"fmt"

	"windmp/vtop"
)

// Edit is a piece of guest memory that the output holds differently from the
// source. Edits are data: the plan lists them, the copy lays them over the
// pages, the source never changes.
type Edit struct {
	// PA is the guest-physical address of Bytes[0].
	PA uint64
	// VA is the address the guest knows it by.
	VA vtop.VA
	// Bytes is what the output holds there; never empty.
	Bytes []byte
	// Reason says what is written and why.
	Reason string
}

// editsAt splits a write to virtual memory into edits of physical memory: a
// structure may cross pages that lie far apart.
func editsAt(space *vtop.Space, va vtop.VA, b []byte, reason string) ([]Edit, error) {
	pieces, err := space.Pieces(va, uint64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reason, err)
	}
	edits := make([]Edit, 0, len(pieces))
	for _, p := range pieces {
		edits = append(edits, Edit{PA: uint64(p.PA), VA: p.VA, Bytes: b[:p.Size], Reason: reason})
		b = b[p.Size:]
	}
	return edits, nil
}
