package testheap

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// lent are the buffers that came back.
var lent struct {
	sync.Mutex
	free [][]byte
}

// Bytes is a buffer of n bytes, of whatever content, that the test has until its end, when
// the next one gets it: to clear a new one of some MiB, and to be given its pages by the
// system, takes longer than what is done with it.
func Bytes(tb testing.TB, n int) []byte {
	tb.Helper()
	b := take(n)
	tb.Cleanup(func() {
		lent.Lock()
		defer lent.Unlock()
		lent.free = append(lent.free, b)
	})
	return b
}

// Clone is a copy of b in such a buffer.
func Clone(tb testing.TB, b []byte) []byte {
	tb.Helper()
	c := Bytes(tb, len(b))
	copy(c, b)
	return c
}

// File is what a file holds; one whose name ends in .gz is unpacked into such a buffer. The
// error is that of reading it.
func File(tb testing.TB, path string) ([]byte, error) {
	tb.Helper()
	file, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		return file, err
	}
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(file[len(file)-4:]) // RFC 1952, 2.3.1: ISIZE
	unpacked := bytes.NewBuffer(Bytes(tb, int(size)+bytes.MinRead)[:0])
	_, err = unpacked.ReadFrom(z)
	return unpacked.Bytes(), err
}

// take is the smallest buffer with room for n bytes and not much more, or a new one.
func take(n int) []byte {
	lent.Lock()
	defer lent.Unlock()
	best := -1
	for i, b := range lent.free {
		if cap(b) >= n && cap(b)/2 <= n && (best < 0 || cap(b) < cap(lent.free[best])) {
			best = i
		}
	}
	if best < 0 {
		return make([]byte, n)
	}
	b := lent.free[best][:n]
	lent.free = slices.Delete(lent.free, best, best+1)
	return b
}
