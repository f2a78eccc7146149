package guest

import (
	"fmt"

	"windmp/convert/finding"
	"windmp/physmem"
)

// noteOddities turns what was odd about the container into findings.
func (g *finder) noteOddities() {
	for _, o := range g.Image.Oddities() {
		where := fmt.Sprintf("file offset %#x", o.Offset)
		switch o.Kind {
		case physmem.OddityTruncated:
			g.Add(finding.Truncated.At(where, "%s", o.Text).Because(o.Detail)) // says itself what it is
			continue
		case physmem.OddityDamaged:
			g.Add(finding.DamagedPages.At("", "%s", o.Text).Because(o.Detail)) // the same
			continue
		case physmem.OddityTorn, physmem.OddityUntried, physmem.OddityInUse, physmem.OddityLater:
			g.Add(OddityKind(o.Kind).At("", "%s", o.Text).Because(o.Detail)) // of the file as a whole
			continue
		default:
		}
		g.Add(OddityKind(o.Kind).WithAdvice("").At(where, "%s: %s", o.Kind, o.Text).Because(o.Detail))
	}
}

// OddityKind is the finding that an oddity of the container becomes: what may cost
// memory or registers is a warning.
func OddityKind(k physmem.OddityKind) finding.Kind {
	switch k {
	case physmem.OddityTruncated:
		return finding.Truncated
	case physmem.OddityDamaged:
		return finding.DamagedPages
	case physmem.OddityConflict:
		return finding.LoadsDisagree
	case physmem.OddityNoteSkipped, physmem.OddityNoteDuplicate, physmem.OddityCPU:
		return finding.NotesUnusable
	case physmem.OddityTorn:
		return finding.TornMemory
	case physmem.OddityUntried:
		return finding.FormatUntried
	case physmem.OddityInUse:
		return finding.FileInUse
	case physmem.OddityLater:
		return finding.MemoryLater
	case physmem.OddityBadSegment, physmem.OddityLimit:
		return finding.ContainerOdd
	default:
		return finding.ContainerOdd
	}
}
