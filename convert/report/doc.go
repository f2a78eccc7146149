// Package report has what windmp tells of a file and of a conversion, as Go values
// and as JSON: docs/schema describes the documents. A [Report] is filled in by the
// stages as they come, so that after an error it tells how far things went. It
// finds out nothing itself, and holds no memory of the guest.
//
// The fields' JSON names are fixed; what they are called here may differ.
package report
