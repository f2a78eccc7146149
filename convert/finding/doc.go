// Package finding is how windmp says what is odd, guessed, repaired, missing or wrong: a
// [Finding], and the table of all kinds of findings.
//
// A [Kind] is a variable of this package, an ID with one severity, a title and the
// usual advice; docs/findings.md prints this table. [Kind.At] makes a finding of it, and
// a [List] collects findings. A [RefusedError] is the end of a stage: no dump worth
// opening can be made, and the finding says why.
package finding
