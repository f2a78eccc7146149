// Package plan decides what a dump of a guest holds, before anything is written. A
// [Plan] is data: the header with the reasons for what differs from the guest's own,
// the edits of memory (an [Edit] has an address, bytes and a reason), and the pages,
// all of which [Plan.Layout] and [Plan.Memory] show to whoever writes.
//
// Planning reads the guest and nothing else, and changes nothing.
package plan
