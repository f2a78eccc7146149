//go:build !unix

package qemutest

// protected is b. Where it is shared on Unix, writing to it ends the process.
func protected(b []byte) ([]byte, error) { return b, nil }
