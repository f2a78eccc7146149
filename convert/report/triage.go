package report

import "slices"

// Triage says what a small dump holds, and what was left out of it.
type Triage struct {
	// Limit is how many bytes the dump was allowed, Floor how many the smallest one has
	// that debuggers open.
	Limit int64 `json:"limit"`
	Floor int64 `json:"floor"`
	// Process is the id of the process whose memory may be in the dump, 0 for none.
	Process uint64 `json:"process,omitempty"`
	// Contents are the kinds of pieces that went in or were left out, in the order of
	// their worth to a debugger. Their bytes add up to the whole dump.
	Contents []TriagePart `json:"contents"`
}

// Clone returns a copy, with which t shares nothing.
func (t *Triage) Clone() *Triage {
	c := *t
	c.Contents = slices.Clone(t.Contents)
	return &c
}

// TriagePart is what there is of one kind.
type TriagePart struct {
	// Kind is a word such as stack, register-pages or unwind-data; What says it in a phrase.
	Kind string `json:"kind"`
	What string `json:"what"`
	// Tier is its place in the order in which room was given away; 0 is what debuggers
	// can't do without.
	Tier int `json:"tier"`
	// Pieces and Bytes are in the dump.
	Pieces int    `json:"pieces"`
	Bytes  uint64 `json:"bytes"`
	// LeftOut is how many pieces are not in it. NoRoom are the bytes for which there was
	// no room, NotInMemory those that could not be read, also of pieces that are in it.
	LeftOut     int    `json:"left_out"`
	NoRoom      uint64 `json:"no_room"`
	NotInMemory uint64 `json:"not_in_memory"`
}

// InsideSchema names the JSON document that travels in a small dump.
const InsideSchema = "windmp/triage/v1"

// InsideTag is the tag, a GUID, of the secondary data of a dump that is that document.
// It was drawn at random, and means nothing else.
var InsideTag = [16]byte{0x6d, 0x1f, 0x3e, 0xb5, 0x92, 0xc8, 0x47, 0x4a, 0x8e, 0x05, 0x77, 0x69, 0x6e, 0x64, 0x6d, 0x70}

// Inside is the document: the report of the conversion, as far as it was known before
// the dump was written, without the names of files.
type Inside struct {
	Schema string `json:"schema"`
	*Report
	// Stack is that of what crashed, absent where it is not known.
	Stack *Stack `json:"stack,omitempty"`
}
