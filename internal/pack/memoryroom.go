package pack

import (
	"fmt"
	"io"
	"sync"

	"windmp/internal/binio"
	"windmp/physmem"
)

// memoryLimit is how much of what is unpacked lies in memory at most, bytes. A browser's
// tab has some GB, of which most is not ours.
const memoryLimit = 512 << 20

// A memoryRoom has what is unpacked in memory, in blocks: what was not written is a hole.
type memoryRoom struct {
	mu     sync.RWMutex // it is read while it is written
	blocks map[int64]*[grain]byte
	size   int64
}

func (m *memoryRoom) WriteAt(p []byte, off int64) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n < len(p) {
		b, err := m.block((off + int64(n)) / grain)
		if err != nil {
			return n, err
		}
		n += copy(b[(off+int64(n))%grain:], p[n:])
	}
	m.size = max(m.size, off+int64(n))
	return n, nil
}

// block is one to be written.
func (m *memoryRoom) block(i int64) (*[grain]byte, error) {
	if b := m.blocks[i]; b != nil {
		return b, nil
	}
	if (int64(len(m.blocks))+1)*grain > memoryLimit {
		return nil, fmt.Errorf("there is no room for more than %s of what is packed: unpack it first", binio.Bytes(memoryLimit))
	}
	if m.blocks == nil {
		m.blocks = map[int64]*[grain]byte{}
	}
	b := new([grain]byte)
	m.blocks[i] = b
	return b, nil
}

func (m *memoryRoom) ReadAt(p []byte, off int64) (n int, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	rest := p[:max(0, min(int64(len(p)), m.size-off))]
	for len(rest) > 0 {
		part := rest[:min(int64(len(rest)), grain-off%grain)]
		clear(part)
		if b := m.blocks[off/grain]; b != nil {
			copy(part, b[off%grain:])
		}
		rest, off, n = rest[len(part):], off+int64(len(part)), n+len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Truncate sets the size, to which the last hole reaches.
func (m *memoryRoom) Truncate(size int64) error {
	m.size = size
	return nil
}

// NextData implements [physmem.DataFinder].
func (m *memoryRoom) NextData(off int64) int64 {
	for at := off; at < m.size; at = (at/grain + 1) * grain {
		if m.blocks[at/grain] != nil {
			return at
		}
	}
	return m.size
}

// Close gives the memory back.
func (m *memoryRoom) Close() error {
	m.blocks = nil
	return nil
}

func (m *memoryRoom) space(int64) error                   { return nil }
func (m *memoryRoom) finder() (physmem.DataFinder, error) { return m, nil }
