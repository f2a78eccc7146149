package source_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/convert/source"
	"windmp/physmem"
)

// A written source is one that may be written to while it is read, with a file beside it.
type written struct {
	physmem.Source
	time   time.Time
	beside *written
}

// ModTime implements [physmem.Dated].
func (w *written) ModTime() time.Time { return w.time }

// OpenSibling implements [physmem.Source].
func (w *written) OpenSibling(string) (physmem.Source, error) {
	if w.beside == nil {
		return nil, fs.ErrNotExist
	}
	return w.beside, nil
}

func TestChanged(t *testing.T) {
	t.Parallel()
	now := time.Now()
	of := func(name string) *written {
		return &written{Source: physmem.NewSource(name, strings.NewReader("no memory at all"), 16), time: now}
	}
	for name, tt := range map[string]struct {
		change func(w *written)
		want   bool
		where  string
	}{
		"nothing":        {func(*written) {}, false, ""},
		"the file":       {func(w *written) { w.time = now.Add(time.Millisecond) }, true, ""},
		"back in time":   {func(w *written) { w.time = now.Add(-time.Hour) }, true, ""},
		"one beside it":  {func(w *written) { w.beside.time = now.Add(time.Second) }, true, "guest.vmem"},
		"not known then": {func(w *written) { w.time = time.Time{} }, false, ""},
	} {
		file := of("guest.vmss")
		file.beside = of("guest.vmem")
		err := source.With(t.Context(), source.Of(file), source.Options{}, func(_ context.Context, s *source.Source) error {
			_, err := s.OpenSibling("guest.vmem")
			require.NoError(t, err)
			tt.change(file)
			f, ok := s.Changed()
			assert.Equal(t, tt.want, ok, name)
			if ok {
				assert.Equal(t, finding.FileChanged.ID(), f.ID, name)
				assert.Equal(t, tt.where, f.Where, name)
			}
			return nil
		})
		require.NoError(t, err, name)
	}
}
