package siblings_test

import (
	"errors"
	"slices"
	"testing"

	"windmp/internal/siblings"
)

// file counts how often it is closed.
type file struct {
	closed int
	err    error
}

func (f *file) Close() error {
	f.closed++
	return f.err
}

// TestClosesAllOnce: whatever one of them says.
func TestClosesAllOnce(t *testing.T) {
	t.Parallel()
	broken := errors.New("it does not close")
	first, second := &file{err: broken}, &file{}
	var l siblings.List[*file]
	if err := l.Close(); err != nil {
		t.Errorf("there are none, and %v", err)
	}
	l.Add(first)
	l.Add(second)
	if got := l.All(); !slices.Equal(got, []*file{first, second}) {
		t.Errorf("it has %v", got)
	}
	if err := l.Close(); !errors.Is(err, broken) {
		t.Errorf("the first does not close, and it says %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed again, it says %v", err)
	}
	if first.closed != 1 || second.closed != 1 {
		t.Errorf("closed %d and %d times", first.closed, second.closed)
	}
	if got := l.All(); len(got) > 0 {
		t.Errorf("closed, it has %v", got)
	}
}
