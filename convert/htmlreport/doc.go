// Package htmlreport makes a page of what windmp knows about files: the verdict and its
// reasons, the machine, what crashed, its memory. It takes the values that the JSON
// documents are made of, and gives HTML; it opens, reads and finds out nothing. The
// command writes such pages to files, and the page in the browser shows them.
//
// A page stands alone: it loads nothing, and its Content-Security-Policy lets it load
// nothing. Whatever comes from a file or from the guest is escaped by the library that
// writes the elements, and characters that can't be seen are shown. Its one script
// filters tables; without it, everything is there.
package htmlreport
