// Package mount shows package folder's dumps, which nobody has written, as a file system,
// by FUSE: [Serve] on Linux, an error elsewhere.
package mount
