// Package sourceflag has the flags that say how a source is opened, and what the user
// knows of the guest in it, as the options of the libraries. Every command that opens a
// file has them from here.
package sourceflag
