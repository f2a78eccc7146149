package convert

import (
	"fmt"

	"windmp/physmem"
)

// noteOddities turns what was odd about the container into findings.
func (g *Guest) noteOddities() {
	for _, o := range g.Image.Oddities() {
		id, severity := oddityFinding(o.Kind)
		g.addf(id, severity, fmt.Sprintf("file offset %#x", o.Offset), "", "%s: %s", o.Kind, o.Text)
	}
}

// oddityFinding grades the kinds: what may cost memory or registers is a
// warning.
func oddityFinding(k physmem.OddityKind) (id string, s Severity) {
	switch k {
	case physmem.OddityTruncated:
		return IDTruncated, SeverityWarn
	case physmem.OddityConflict:
		return IDLoadsDisagree, SeverityWarn
	case physmem.OddityNoteSkipped, physmem.OddityNoteDuplicate, physmem.OddityCPU:
		return IDNotesUnusable, SeverityWarn
	case physmem.OddityBadSegment, physmem.OddityLimit:
		return IDContainerOdd, SeverityWarn
	default:
		return IDContainerOdd, SeverityWarn
	}
}
