// Package folder shows what a source can be converted to as a folder of files that nobody
// has written: each is planned and judged at its first use, and made while it is read. A
// file holds, byte for byte, what a conversion writes under its name. It takes a few bytes
// for each run of pages, whatever the size of the source. Who shows the folder to others,
// a file system or a server, is no concern of this package.
package folder
