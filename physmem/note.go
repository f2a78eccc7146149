package physmem

import (
	"bytes"

	"windmp/internal/binio"
)

// A Note is a note of the file as it is: nothing is known of its payload.
type Note struct {
	Name   string // without the terminating NUL
	Type   uint32
	Desc   []byte // the payload
	Offset int64  // of Desc in the file
}

// clone is a note of its own, nil for none.
func (n *Note) clone() *Note {
	if n == nil {
		return nil
	}
	c := *n
	c.Desc = bytes.Clone(n.Desc)
	return &c
}

// LooksLikeLinux reports whether the payload of a VMCOREINFO note is the text
// that Linux leaves there, lines of KEY=VALUE with OSRELEASE first (Linux
// kernel/vmcore_info.c), and returns the kernel's release.
func LooksLikeLinux(desc []byte) (release string, ok bool) {
	const key = "OSRELEASE="
	// The keys that name the kernel come first.
	text := desc[:min(len(desc), 0x1000)]
	if !binio.IsText(text[:min(len(text), len(key))]) {
		return "", false
	}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		v, found := bytes.CutPrefix(bytes.TrimRight(line, "\x00"), []byte(key))
		if found && binio.IsText(v) {
			return string(v), true
		}
	}
	return "", false
}
