package pack

import (
	"fmt"
	"io/fs"
	"strings"

	"windmp/internal/binio"
)

// passedBy are the entries of an archive that are no files.
type passedBy struct {
	folders, links, others int
	// first is the first link, and to is what it leads to; empty where that is not known.
	first, to string
}

// add notes an entry of that kind, and reports whether it is no file. What a link leads to
// is empty where that is not known.
func (p *passedBy) add(mode fs.FileMode, name, to string) bool {
	switch {
	case mode.IsRegular():
		return false
	case mode.IsDir():
		p.folders++
	case mode&fs.ModeSymlink != 0:
		if p.links++; p.links == 1 {
			p.first, p.to = name, to
		}
	default:
		p.others++
	}
	return true
}

// what says what an archive without a file holds, and what to do about it.
func (p *passedBy) what() (said, hint string) {
	var list []string
	if p.folders > 0 {
		list = append(list, binio.Plural(p.folders, "folder"))
	}
	if p.links > 0 {
		link := binio.Plural(p.links, "link")
		if p.to != "" {
			link += fmt.Sprintf(" (%s leads to %s)", quote(p.first), quote(p.to))
		}
		list, hint = append(list, link), "Pack the file that the link leads to"
	}
	if p.others > 0 {
		list = append(list, binio.Plural(p.others, "special file"))
	}
	if len(list) == 0 {
		return "it is empty", ""
	}
	return "it holds only " + strings.Join(list, ", "), hint
}
