package finding

import (
	"fmt"
	"slices"
)

// Severity grades a [Finding].
type Severity string

const (
	// SeverityOK is something checked and found good.
	SeverityOK Severity = "ok"
	// SeverityInfo is worth knowing and costs the dump nothing.
	SeverityInfo Severity = "info"
	// SeverityWarn means that the dump opens but shows less, or that something
	// had to be repaired by a guess.
	SeverityWarn Severity = "warn"
	// SeverityUnknown means that a question could not be answered.
	SeverityUnknown Severity = "unknown"
	// SeverityFail means that no dump worth opening can be made.
	SeverityFail Severity = "fail"
)

// severities lists them from harmless to fatal.
var severities = []Severity{SeverityOK, SeverityInfo, SeverityWarn, SeverityUnknown, SeverityFail}

// Rank orders severities: the higher, the worse. It is -1 for what is none.
func (s Severity) Rank() int { return slices.Index(severities, s) }

// Finding is one thing that a person or a pipeline should know of a file. It is
// made by [Kind.At]. The ID never changes its meaning, and has one severity; the
// sentence may change.
type Finding struct {
	// ID is WD and three digits; the first says the part: 1 container, 2 header,
	// 3 KDBG and the kernel, 4 processors, 5 memory, 6 the file as a whole.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Message is one sentence: what was seen and, where it applies, what was
	// expected.
	Message string `json:"message"`
	// Where names the address or offset, with its space; empty when the finding
	// is about the whole file.
	Where string `json:"where,omitempty"`
	// Advice says what the reader can do; empty when nothing needs doing.
	Advice string `json:"advice,omitempty"`
	// Detail is what led to the sentence, step by step, for who looks closer; often
	// empty.
	Detail string `json:"detail,omitempty"`
}

// Because is f with what led to it, an error or a text; nil is nothing.
func (f Finding) Because(what any) Finding {
	if what == nil {
		return f
	}
	f.Detail = fmt.Sprint(what)
	return f
}

// List collects what a stage finds, in order.
type List struct{ All []Finding }

// Add appends f.
func (fs *List) Add(f Finding) { fs.All = append(fs.All, f) }

// Worst is the highest severity in list, [SeverityOK] when it is empty.
func Worst(list []Finding) Severity {
	w := SeverityOK
	for _, f := range list {
		if f.Severity.Rank() > w.Rank() {
			w = f.Severity
		}
	}
	return w
}

// Verdict folds severities into the four words that people see, OK, WARN, UNKNOWN
// and FAIL: an info finding leaves a file OK.
func Verdict(list []Finding) string {
	switch Worst(list) {
	case SeverityFail:
		return "FAIL"
	case SeverityUnknown:
		return "UNKNOWN"
	case SeverityWarn:
		return "WARN"
	case SeverityOK, SeverityInfo:
		return "OK"
	default:
		return "UNKNOWN"
	}
}
