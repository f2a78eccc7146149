// Package siblings keeps the files that were opened beside one, to be closed with it.
package siblings

import (
	"errors"
	"io"
	"slices"
	"sync"
)

// List is what was opened. Several goroutines may use it at once; the zero value is empty.
type List[F io.Closer] struct {
	mu   sync.Mutex
	open []F
}

// Add keeps a file.
func (l *List[F]) Add(f F) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, f)
}

// All are the files that are open, in the order in which they were added.
func (l *List[F]) All() []F {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.open)
}

// Close closes all of them, once. The error joins theirs.
func (l *List[F]) Close() error {
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	errs := make([]error, 0, len(open))
	for _, f := range open {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
