// Package remote reads files behind http(s) URLs by ranges, as a [physmem.Source]:
// what is read is asked for, a few blocks around it are kept, and what is read in
// order is fetched ahead by several connections. Broken transfers go on where they
// broke off; a file that changes meanwhile is an error. Nothing secret of a URL or a
// header is in what it returns or says.
package remote
