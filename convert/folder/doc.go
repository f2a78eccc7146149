// Package folder is what a source can be converted to, as a folder of files that
// nobody has written: each is planned and judged at its first use, and made while it is
// read. What a file holds is byte by byte what a conversion writes under its name. It
// takes a few bytes for each run of pages, whatever the size of the source. Who shows
// the folder to others, by a file system or a server, is no concern of it.
package folder
