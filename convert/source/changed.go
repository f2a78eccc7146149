package source

import (
	"slices"
	"sync"
	"time"

	"windmp/convert/finding"
	"windmp/physmem"
)

// A dated is when a file was last written to, as it was when it was opened, and the
// files that were opened beside it.
type dated struct {
	written time.Time
	mu      sync.Mutex
	beside  []*watched
}

// newWatched is a file that was opened just now.
func newWatched(src physmem.Source, w *watch, opt *Options) *watched {
	return &watched{Source: src, watch: w, opt: opt, dated: dated{written: physmem.ModTime(src)}}
}

// keep notes a file that was opened beside this one.
func (d *dated) keep(beside *watched) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.beside = append(d.beside, beside)
}

// changed is the first file that was written to since it was opened: this one, or one
// beside it; nil if none was.
func (w *watched) changed() *watched {
	if now := physmem.ModTime(w.Source); !w.written.IsZero() && !now.IsZero() && !now.Equal(w.written) {
		return w
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.beside {
		if c := b.changed(); c != nil {
			return c
		}
	}
	return nil
}

// Changed says that the input, or a file beside it, was written to since it was opened, by
// the time of its last writing: what was read of it may be of different moments. It is
// false of a disk image that a machine runs from: the memory in that stays as it is.
func (s *Source) Changed() (finding.Finding, bool) {
	if s.image != nil && slices.ContainsFunc(s.image.Oddities(), func(o physmem.Oddity) bool { return o.Kind == physmem.OddityInUse }) {
		return finding.Finding{}, false
	}
	const said = "the file was written to while it was read: what was read of it may be of different moments"
	switch c := s.watched.changed(); c {
	case nil:
		return finding.Finding{}, false
	case s.watched:
		return finding.FileChanged.At("", said), true
	default:
		return finding.FileChanged.At(c.Name(), said), true
	}
}
