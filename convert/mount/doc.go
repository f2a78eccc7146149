// Package mount shows a folder of dumps that nobody has written as a file system, by
// FUSE: [Serve] on Linux, an error elsewhere.
package mount
