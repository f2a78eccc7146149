package siblings_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	require.NoError(t, l.Close(), "there are none")
	l.Add(first)
	l.Add(second)
	assert.Equal(t, []*file{first, second}, l.All())
	require.ErrorIs(t, l.Close(), broken)
	require.NoError(t, l.Close())
	assert.Equal(t, []int{1, 1}, []int{first.closed, second.closed})
	assert.Empty(t, l.All())
}
