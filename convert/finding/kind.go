package finding

import (
	"fmt"
	"slices"
)

// Kind is what findings of one ID have in common: a line of docs/findings.md. The
// kinds are the variables of this package; no other can be made, so that an ID has
// one severity wherever it appears.
type Kind struct {
	id       string
	severity Severity
	title    string
	advice   string
}

// kinds are those that declare has seen, in the order of their declaration.
var kinds []Kind

// declare makes a kind; advice is empty when nothing needs doing, or when only the
// place of the finding knows what.
func declare(id string, severity Severity, title, advice string) Kind {
	k := Kind{id: id, severity: severity, title: title, advice: advice}
	kinds = append(kinds, k)
	return k
}

// Kinds lists all kinds, sorted by ID.
func Kinds() []Kind { return slices.Clone(kinds) }

// ID is WD and three digits, as [Finding.ID] has it.
func (k Kind) ID() string { return k.id }

// Severity is that of every finding of the kind.
func (k Kind) Severity() Severity { return k.severity }

// Title says in a sentence what the kind is about.
func (k Kind) Title() string { return k.title }

// Advice is the usual one; empty when there is none.
func (k Kind) Advice() string { return k.advice }

// WithAdvice is k for a place that knows better advice than the usual, or none.
func (k Kind) WithAdvice(advice string) Kind {
	k.advice = advice
	return k
}

// At makes a finding of the kind. Where names an address or offset with its space,
// empty for the whole file; the rest is its sentence, as for [fmt.Sprintf].
func (k Kind) At(where, format string, args ...any) Finding {
	return Finding{ID: k.id, Severity: k.severity, Message: fmt.Sprintf(format, args...), Where: where, Advice: k.advice}
}
