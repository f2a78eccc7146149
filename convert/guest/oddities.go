package guest

import (
	"fmt"

	"windmp/convert/finding"
	"windmp/physmem"
)

// noteOddities turns what was odd about the container into findings. An oddity says
// itself what it is: what to do about the kind of damage that it is helps no further.
func (g *finder) noteOddities() {
	for _, o := range g.Image.Oddities() {
		kind, where := OddityKind(o.Kind), fmt.Sprintf("file offset %#x", o.Offset)
		switch o.Kind {
		case physmem.OddityTruncated:
		case physmem.OddityDamaged, physmem.OddityUnreadable, physmem.OddityTorn, physmem.OddityUntried, physmem.OddityInUse, physmem.OddityLater:
			where = "" // of the file as a whole
		default:
			kind = kind.WithAdvice("")
		}
		g.Add(kind.At(where, "%s", o.Text).Because(o.Detail))
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
	case physmem.OddityUnreadable:
		return finding.DamagedPages.WithAdvice(finding.AdviceOtherCopy)
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
