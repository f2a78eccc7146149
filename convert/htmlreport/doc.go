// Package htmlreport makes a page of what windmp tells of files: the verdict and its
// reasons, the machine, what crashed, its memory. It takes the values that the JSON
// documents are made of, and gives HTML: it opens, reads and finds out nothing. The
// command writes such pages to files, and programs in a browser show them.
//
// A page stands alone: it loads nothing, and its Content-Security-Policy lets it load
// nothing. Whatever comes from a file or from the guest is escaped by the library that
// writes the elements, and what can't be seen is shown. The one script filters tables; without it everything is there.
package htmlreport
