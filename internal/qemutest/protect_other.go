//go:build !unix

package qemutest

// protected is size bytes that fill fills. Where they are shared on Unix, writing to them
// afterwards ends the process.
func protected(size int, fill func(b []byte) error) ([]byte, error) {
	b := make([]byte, size)
	return b, fill(b)
}
