package physmem

import (
	"fmt"
	"strconv"
)

// An Oddity is something about a file that is wrong or unusual and that did
// not keep it from being used.
type Oddity struct {
	Kind   OddityKind
	Offset int64 // file offset of the structure it is about
	// Text says it to people: no addresses, offsets or raw values, which are in Detail.
	Text string
	// Detail is what was seen, for who looks closer; often empty.
	Detail string
}

// Because gives an oddity its detail.
func (o *Oddity) Because(format string, args ...any) { o.Detail = fmt.Sprintf(format, args...) }

// String returns the oddity as one line.
func (o Oddity) String() string {
	s := fmt.Sprintf("%s: %s (file offset 0x%x)", o.Kind, o.Text, o.Offset)
	if o.Detail != "" {
		s += ": " + o.Detail
	}
	return s
}

// OddityKind says what kind of oddity it is, for those who act on it.
type OddityKind uint8

const (
	// OddityTruncated means that the file ends before what its headers describe.
	OddityTruncated OddityKind = iota + 1
	// OddityConflict means that two headers give different places for the same
	// memory; the first one in the file was believed.
	OddityConflict
	// OddityBadSegment means that a program header makes no sense and was left
	// out.
	OddityBadSegment
	// OddityNoteSkipped means that a note, or a note and all behind it, could
	// not be used.
	OddityNoteSkipped
	// OddityNoteDuplicate means that a note that must be there once is there
	// again; the first one was used.
	OddityNoteDuplicate
	// OddityCPU means that the notes about a processor contradict each other,
	// or that one of them is missing.
	OddityCPU
	// OddityLimit means that the file holds more of something than is read.
	OddityLimit
	// OddityCount says that a count in a header is not that of what it counts;
	// the latter was believed.
	OddityCount
	// OddityForced means that the file looks like another format than that
	// which it was opened as, by option.
	OddityForced
	// OddityDamaged means that the data of pages can't be decoded; see
	// [Image.Sound].
	OddityDamaged
	// OddityUnreadable means that the system refuses to read pages of the file, as of a
	// disk with bad sectors; see [Image.Readable].
	OddityUnreadable
	// OddityTorn means that the machine may have run on while its memory was saved,
	// or after it: pages are of different moments.
	OddityTorn
	// OddityUntried means that no file that the real program wrote was tried with what
	// reads it here.
	OddityUntried

	// OddityLater means that the file with the memory was written to long after the one
	// with the processors.
	OddityLater
	// OddityInUse means that another program has the file open to write.
	OddityInUse

	// lastOddity is the last kind.
	lastOddity = OddityInUse
)

var oddityNames = map[OddityKind]string{
	OddityTruncated:     "truncated",
	OddityConflict:      "conflict",
	OddityBadSegment:    "bad-segment",
	OddityNoteSkipped:   "note-skipped",
	OddityNoteDuplicate: "note-duplicate",
	OddityCPU:           "cpu",
	OddityLimit:         "limit",
	OddityCount:         "count",
	OddityForced:        "forced",
	OddityTorn:          "torn",
	OddityUntried:       "untried",
	OddityInUse:         "in-use",
	OddityLater:         "later",
	OddityDamaged:       "damaged",
	OddityUnreadable:    "unreadable",
}

// String returns the short name of the kind, which does not change.
func (k OddityKind) String() string {
	if s, ok := oddityNames[k]; ok {
		return s
	}
	return "oddity-" + strconv.Itoa(int(k))
}

// maxOdditiesPerKind is how many oddities of one kind are kept one by one: a
// file with a million bad program headers does not need a million sentences.
const maxOdditiesPerKind = 16

// Oddities collects what an opener finds odd, and counts what is beyond a cap. The
// zero value is empty.
type Oddities struct {
	list  []Oddity
	count map[OddityKind]int
}

// Add takes an oddity about the structure at a file offset: a sentence for people. What
// it returns is for [Oddity.Because].
func (o *Oddities) Add(kind OddityKind, offset int64, format string, args ...any) *Oddity {
	odd := Oddity{Kind: kind, Offset: offset, Text: fmt.Sprintf(format, args...)}
	if o.count == nil {
		o.count = make(map[OddityKind]int)
	}
	o.count[kind]++
	if o.count[kind] > maxOdditiesPerKind {
		return &odd
	}
	o.list = append(o.list, odd)
	return &o.list[len(o.list)-1]
}

// Take adds those of another list.
func (o *Oddities) Take(more *Oddities) {
	if o.count == nil {
		o.count = make(map[OddityKind]int)
	}
	o.list = append(o.list, more.list...)
	for k, n := range more.count {
		o.count[k] += n
	}
}

// Relocate gives each oddity the file offset that place makes of its own.
func (o *Oddities) Relocate(place func(off int64) int64) {
	for i := range o.list {
		o.list[i].Offset = place(o.list[i].Offset)
	}
}

// All returns the oddities, each kind that was cut short followed by a count.
func (o *Oddities) All() []Oddity {
	out := o.list
	for k := OddityTruncated; k <= lastOddity; k++ {
		if more := o.count[k] - maxOdditiesPerKind; more > 0 {
			out = append(out, Oddity{Kind: k, Text: fmt.Sprintf("and %d more like these", more)})
		}
	}
	return out
}
