// Package report holds what windmp says about a file and about a conversion, as Go values
// and as JSON: docs/schema describes the documents. A [Report] is filled in stage by
// stage, so that after an error it tells how far things went. The package finds out
// nothing itself, and a report holds no memory of the guest.
//
// The JSON names of fields are fixed; the Go names may differ from them.
package report
