package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/physmem"
)

// Content is what a file holds. It can be read by several goroutines at once, as long
// as the folder is open.
type Content interface {
	io.ReaderAt
	// Size is in bytes.
	Size() int64
}

// A File is one of a folder.
type File struct {
	folder *Folder
	name   string
	make   func() *made

	mu      sync.Mutex
	now     *making   // nil while nobody has asked, and again after an error
	retired []Content // what it held before, and somebody may read still
	failed  sync.Once
}

// making is a file that is made, or about to be.
type making struct {
	done chan struct{} // closed when it is
	*made
}

// made is what came out.
type made struct {
	content Content // nil where there is none
	report  *report.Report
	err     error
	// final is set unless another try may come to something else.
	final bool
}

// settle takes the error of making a dump. What was refused stays so; what could not be
// read may be next time.
func (m *made) settle(err error) {
	var refused *finding.RefusedError
	var usage *stage.UsageError
	switch {
	case err == nil:
		m.final = true
	case errors.As(err, &refused), errors.As(err, &usage):
		m.err, m.final = fmt.Errorf("%w: %w", fs.ErrNotExist, err), true
	default:
		m.err = err
	}
}

// Name is the file's.
func (f *File) Name() string { return f.name }

// Open makes the file, unless that was done, and gives what it holds; it need not be
// closed. The error is fs.ErrNotExist, with the reason, where the source makes no such
// file: the report has that, too. Others are of reading the source, or that of ctx,
// which ends the waiting and not what is waited for.
//
// What could not be read before is tried again.
func (f *File) Open(ctx context.Context) (Content, error) {
	f.folder.tryAgain()
	m, err := f.await(ctx)
	if err != nil {
		return nil, err
	}
	if m.err != nil {
		return nil, m.err
	}
	return &content{m.content, f}, nil
}

// await waits until the file is made, or is known not to be.
func (f *File) await(ctx context.Context) (*made, error) {
	m, err := f.begin()
	if err != nil {
		return nil, err
	}
	select {
	case <-m.done:
		return m.made, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// begin makes the file, or finds it made.
func (f *File) begin() (*making, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now != nil {
		return f.now, nil
	}
	m := &making{done: make(chan struct{})}
	err := f.folder.start(func() {
		defer close(m.done)
		if m.made = f.make(); !m.final {
			f.folder.note(f, m.err)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.now = nil
		}
	})
	if err == nil {
		f.now = m
	}
	return m, err
}

// close ends what the file holds, once nothing is made any more.
func (f *File) close() {
	if f.now != nil {
		f.retired = append(f.retired, f.now.content)
	}
	for _, content := range f.retired {
		if c, ok := content.(io.Closer); ok {
			_ = c.Close() // of memory
		}
	}
}

// forget has the file made anew for who opens it next, if it is made.
func (f *File) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == nil {
		return
	}
	select {
	case <-f.now.done:
		f.retired = append(f.retired, f.now.content)
		f.now = nil
	default:
	}
}

// absent tells whether it is known that there is no such file.
func (f *File) absent() bool {
	f.mu.Lock()
	m := f.now
	f.mu.Unlock()
	if m == nil {
		return false
	}
	select {
	case <-m.done:
		return errors.Is(m.err, fs.ErrNotExist)
	default:
		return false
	}
}

// content is what a file holds, and remembers what could not be read of it.
type content struct {
	Content
	file *File
}

// ReadAt implements io.ReaderAt.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Content.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		c.file.folder.note(c.file, err)
		var read *physmem.ReadError
		if errors.As(err, &read) && read.Damaged {
			c.file.folder.spoilt(c.file)
		}
	}
	return n, err
}

// NextData implements [physmem.DataFinder].
func (c *content) NextData(off int64) int64 { return physmem.NextData(c.Content, off) }
