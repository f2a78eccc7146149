package guest

import (
	"fmt"

	"windmp/convert/finding"
	"windmp/physmem"
)

// noteOddities turns what was odd about the container into findings.
func (g *finder) noteOddities() {
	for _, o := range g.Image.Oddities() {
		id, severity := OddityFinding(o.Kind)
		g.Addf(id, severity, fmt.Sprintf("file offset %#x", o.Offset), "", "%s: %s", o.Kind, o.Text)
	}
}

// oddityFinding grades the kinds: what may cost memory or registers is a
// warning.
func OddityFinding(k physmem.OddityKind) (id string, s finding.Severity) {
	switch k {
	case physmem.OddityTruncated:
		return finding.IDTruncated, finding.SeverityWarn
	case physmem.OddityConflict:
		return finding.IDLoadsDisagree, finding.SeverityWarn
	case physmem.OddityNoteSkipped, physmem.OddityNoteDuplicate, physmem.OddityCPU:
		return finding.IDNotesUnusable, finding.SeverityWarn
	case physmem.OddityBadSegment, physmem.OddityLimit:
		return finding.IDContainerOdd, finding.SeverityWarn
	default:
		return finding.IDContainerOdd, finding.SeverityWarn
	}
}
