package winhdr

import (
	"fmt"

	"windmp/winhdr/problem"
)

// CommentText returns the header's comment: what stands before the first NUL,
// "" if the field was never set. Bytes that are not printable ASCII come out as
// '?', since the text may reach a terminal.
func (h *Header) CommentText() string { return commentText(&h.Comment) }

func commentText(comment *[128]byte) string {
	if [4]byte(comment[:4]) == [4]byte{'P', 'A', 'G', 'E'} {
		return ""
	}
	var text []byte
	for _, c := range comment {
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
// the fill pattern behind it, as WinDbg's .dump leaves the field. The error is a
// Problem.
func (h *Header) SetComment(text string) error {
	if len(text) >= len(h.Comment) {
		return h.commentProblem(fmt.Sprintf("0x%x bytes", len(text)), fmt.Sprintf("at most 0x%x", len(h.Comment)-1))
	}
	for i := range len(text) {
		if !printable(text[i]) {
			return h.commentProblem(fmt.Sprintf("byte 0x%02x at 0x%x", text[i], i), "printable ASCII")
		}
	}
	problem.PageFill(h.Comment[:])
	h.Comment[copy(h.Comment[:], text)] = 0
	return nil
}

func (h *Header) commentProblem(got, want string) problem.Problem {
	return problem.Problem{Field: "Comment", Offset: h.Offset("Comment"), Got: got, Want: want}
}

func printable(c byte) bool { return c >= ' ' && c <= '~' }
