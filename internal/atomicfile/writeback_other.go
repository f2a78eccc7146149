//go:build !linux

package convert

// writesBack: only Linux has a call for it.
const writesBack = false

// startWriteback does nothing.
func startWriteback(partFile, int64, int64) {}
