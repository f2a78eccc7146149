//go:build !js

package binio

import "github.com/dustin/go-humanize"

// writeSize is a size for people.
func writeSize(n uint64) string { return humanize.IBytes(n) }

// readSize is a size that people wrote, in bytes.
func readSize(s string) (uint64, bool) {
	n, err := humanize.ParseBytes(s)
	return n, err == nil
}
