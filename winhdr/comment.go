package winhdr

import "fmt"

// CommentText returns the header's comment: what stands before the first NUL,
// "" if the field was never set. Bytes that are not printable ASCII come out as
// '?', since the text may reach a terminal.
func (h *Header64) CommentText() string {
	if [4]byte(h.Comment[:4]) == [4]byte{'P', 'A', 'G', 'E'} {
		return ""
	}
	var text []byte
	for _, c := range h.Comment {
		if c == 0 {
			break
		}
		if !printable(c) {
			c = '?'
		}
		text = append(text, c)
	}
	return string(text)
}

// SetComment sets the comment: up to 127 bytes of printable ASCII, a NUL, and
// the fill pattern behind it, as WinDbg's .dump leaves the field.
func (h *Header64) SetComment(text string) error {
	if len(text) >= len(h.Comment) {
		return fmt.Errorf("comment of 0x%x bytes: want at most 0x%x", len(text), len(h.Comment)-1)
	}
	for i := range len(text) {
		if !printable(text[i]) {
			return fmt.Errorf("comment: byte 0x%02x at 0x%x: want printable ASCII", text[i], i)
		}
	}
	PageFill(h.Comment[:])
	h.Comment[copy(h.Comment[:], text)] = 0
	return nil
}

func printable(c byte) bool { return c >= ' ' && c <= '~' }
