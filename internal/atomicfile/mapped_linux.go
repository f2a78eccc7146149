package atomicfile

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// windowSize is how much of a file is mapped at once, in bytes: a mapping counts
	// as the process' own memory as long as it is there.
	windowSize = 4 << 20
	// mostWindows are mapped before those that nobody writes to are taken back.
	mostWindows = 4
)

// inMemory reports whether a file lies in memory: on tmpfs, where many writers are
// faster through a [Mapped] than by writing (docs/performance.md).
func inMemory(f Descriptor) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && st.Type == unix.TMPFS_MAGIC
}

// A Mapped writes to a file through shared mappings of some of it at a time. The system
// lets one thread at a time write to a file, and any number store to its memory. It is
// safe for concurrent use, and is to be closed before the file is.
//
// Room is had from the file system before anything is stored, so that a full one is an
// error. What else can happen to a mapping, a file that was cut by somebody else, memory
// or a disk that fails, comes as a signal, which is caught: it is an error too.
type Mapped struct {
	f    Writable
	size int64

	mu      sync.Mutex
	windows map[int64]*fileWindow // by their number
}

// fileWindow is a part of the file that is mapped.
type fileWindow struct {
	memory []byte
	users  int
}

// Map gives the file f its size in bytes, and a writer of that much of it. The error is
// the system's where f can't be mapped.
func Map(f Writable, size int64) (*Mapped, error) {
	if size <= 0 {
		return nil, os.NewSyscallError("mmap", unix.EINVAL)
	}
	if err := unix.Ftruncate(int(f.Fd()), size); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	m := &Mapped{f: f, size: size, windows: make(map[int64]*fileWindow)}
	// That it can be done at all is seen before anything was written.
	_, err := m.take(0)
	if err == nil {
		err = m.leave(0)
	}
	return m, err
}

// WriteAt implements io.WriterAt. It writes nothing beyond the file's size.
func (m *Mapped) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off > m.size || int64(len(p)) > m.size-off {
		return 0, fmt.Errorf("writing %#x bytes at %#x of a mapped file of %#x: %w", len(p), off, m.size, io.ErrShortWrite)
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		part := p[n:min(len(p), n+int(windowSize-at%windowSize))]
		if err := m.store(part, at); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// store writes within a window.
func (m *Mapped) store(p []byte, off int64) error {
	if err := unix.Fallocate(int(m.f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, int64(len(p))); err != nil {
		return os.NewSyscallError("fallocate", err)
	}
	w, err := m.take(off / windowSize)
	if err != nil {
		return err
	}
	err = storeCaught(w.memory[off%windowSize:], p)
	if left := m.leave(off / windowSize); err == nil {
		err = left
	}
	return err
}

// storeCaught copies p to mapped memory. A fault there (SIGBUS) is an error.
func storeCaught(to, p []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		begin := uintptr(unsafe.Pointer(unsafe.SliceData(to))) //nolint:gosec // an address to compare with
		if f, ok := fault.(interface{ Addr() uintptr }); !ok || f.Addr()-begin >= uintptr(len(to)) {
			panic(fault) // not ours
		}
		err = fmt.Errorf("the file's memory can't be written to, as when the file was cut by another program, or its file system is lost: %w", syscall.EIO)
	}()
	copy(to, p)
	return nil
}

// take has a window mapped, for the caller to leave.
func (m *Mapped) take(number int64) (*fileWindow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.windows[number]
	if w == nil {
		at := number * windowSize
		memory, err := unix.Mmap(int(m.f.Fd()), at, int(min(windowSize, m.size-at)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return nil, os.NewSyscallError("mmap", err)
		}
		w = &fileWindow{memory: memory}
		m.windows[number] = w
	}
	w.users++
	return w, nil
}

// leave gives a window back, and takes back the first that nobody uses if there are
// many.
func (m *Mapped) leave(number int64) error {
	m.mu.Lock()
	m.windows[number].users--
	idle := int64(math.MaxInt64)
	if len(m.windows) > mostWindows {
		for n, w := range m.windows {
			if w.users == 0 {
				idle = min(idle, n)
			}
		}
	}
	w := m.windows[idle]
	delete(m.windows, idle)
	m.mu.Unlock()
	if w == nil {
		return nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(w.memory))
}

// Close ends the mappings. The file stays open.
func (m *Mapped) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var first error
	for n, w := range m.windows {
		if err := unix.Munmap(w.memory); err != nil && first == nil {
			first = os.NewSyscallError("munmap", err)
		}
		delete(m.windows, n)
	}
	return first
}
