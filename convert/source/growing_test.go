package source_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/pack"
	"windmp/physmem"
	"windmp/physmem/open"
)

// A gated file is read behind its middle when its gate is open.
type gated struct {
	*bytes.Reader
	gate chan struct{}
}

// ReadAt implements io.ReaderAt.
func (g *gated) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > g.Size()/2 {
		<-g.gate
	}
	return g.Reader.ReadAt(p, off)
}

const growingMagic = "a format of ours"

// growing is 4 MiB that do not pack, and the same packed.
func growing(t *testing.T) (plain, packed []byte) {
	t.Helper()
	plain = make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(plain) // never fails
	copy(plain, growingMagic)
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	require.NoError(t, err)
	_, err = z.Write(plain)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return plain, out.Bytes()
}

// spoilt is a gzip stream with a wrong checksum.
func spoilt(packed []byte) []byte {
	b := bytes.Clone(packed)
	b[len(b)-5]++
	return b
}

// openGated opens a packed file whose second half comes when the gate is opened, with an
// opener of its format.
func openGated(ctx context.Context, t *testing.T, packed []byte, opt source.Options, opener func(src physmem.Source, gate chan struct{}) (*physmem.Container, error)) (*source.Source, chan struct{}) {
	t.Helper()
	g := &gated{bytes.NewReader(packed), make(chan struct{})}
	opt.TempDir = t.TempDir()
	opt.Input.Openers = []physmem.Opener{{Format: "ours", Open: func(_ context.Context, src physmem.Source) (*physmem.Container, error) {
		head, err := physmem.Head(src, len(growingMagic))
		if err != nil || string(head) != growingMagic {
			return nil, errors.Join(physmem.NotMine("another format"), err)
		}
		if _, err := src.ReadAt(make([]byte, 1), open.BeginningSize); errors.Is(err, open.ErrBeyond) {
			return nil, err // only the beginning is looked at
		}
		return opener(src, g.gate)
	}}}
	s, err := source.Open(ctx, source.Of(physmem.NewSource("a.gz", g, g.Size())), opt)
	require.NoError(t, err)
	return s, g.gate
}

// memoryOf is what an opener returns that took all of a source for memory.
func memoryOf(src physmem.Source, n int64) (*physmem.Container, error) {
	if have := physmem.Reach(src, n); have < n {
		return nil, &physmem.FormatError{Format: "ours", Field: "end", Offset: have}
	}
	return &physmem.Container{Memory: whole{src}, Description: "ours"}, nil
}

// whole is memory that is a file.
type whole struct{ physmem.Source }

// Ranges implements [physmem.Memory].
func (w whole) Ranges() []physmem.Range { return []physmem.Range{{Size: uint64(w.Size())}} }

// TestOpenedWhileUnpacked: an opener has what was unpacked before the rest is even read.
func TestOpenedWhileUnpacked(t *testing.T) {
	t.Parallel()
	plain, packed := growing(t)
	s, _ := openGated(t.Context(), t, packed, source.Options{}, func(src physmem.Source, gate chan struct{}) (*physmem.Container, error) {
		early := make([]byte, 1<<20)
		_, err := src.ReadAt(early, 0)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(plain[:len(early)], early))
		close(gate)
		return memoryOf(src, int64(len(plain)))
	})
	im, err := s.Image(t.Context())
	require.NoError(t, err)
	got := make([]byte, len(plain))
	_, err = im.ReadAt(got, 0)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(plain, got))
	require.NoError(t, s.Wait())
	require.NoError(t, s.Close())
}

// TestOpenerRefuses: what an opener says of the beginning is said at once, whatever the
// rest is.
func TestOpenerRefuses(t *testing.T) {
	t.Parallel()
	_, packed := growing(t)
	s, gate := openGated(t.Context(), t, packed[:len(packed)-100], source.Options{}, func(physmem.Source, chan struct{}) (*physmem.Container, error) {
		return nil, &physmem.UnsupportedError{What: "of a kind that is not read"}
	})
	_, err := s.Image(t.Context())
	require.ErrorContains(t, err, "of a kind that is not read")
	close(gate)
	require.NoError(t, s.Close())
}

// TestUnpackingBreaksOff: damage, a cut and a limit are the error, whatever the opener makes
// of what was unpacked until then.
func TestUnpackingBreaksOff(t *testing.T) {
	t.Parallel()
	plain, packed := growing(t)
	damaged := spoilt(packed)
	for name, tc := range map[string]struct {
		packed []byte
		opt    source.Options
		want   func(err error)
	}{
		"damaged": {damaged, source.Options{}, func(err error) {
			var bad *physmem.FormatError
			require.ErrorAs(t, err, &bad)
			assert.Equal(t, pack.Data, bad.Field)
		}},
		"cut": {packed[:len(packed)-100], source.Options{}, func(err error) { require.ErrorContains(t, err, "it ends too early") }},
		"limit": {packed, source.Options{MaxUnpacked: 3 << 20}, func(err error) {
			var limit *pack.LimitError
			require.ErrorAs(t, err, &limit)
		}},
	} {
		for _, n := range []int64{1 << 10, int64(len(plain)), int64(len(plain)) + 1} { // that the opener wants
			s, _ := openGated(t.Context(), t, tc.packed, tc.opt, func(src physmem.Source, gate chan struct{}) (*physmem.Container, error) {
				close(gate)
				return memoryOf(src, n)
			})
			_, err := s.Image(t.Context())
			tc.want(err)
			assert.Equal(t, err, s.Wait())
			var at *stage.Error
			require.ErrorAs(t, err, &at, name)
			assert.Equal(t, stage.Unpack, at.Stage, name)
			require.NoError(t, s.Close())
		}
	}
}

// TestDamageIsThePackings: what an opener finds wrong is said only of a file whose packing
// is sound.
func TestDamageIsThePackings(t *testing.T) {
	t.Parallel()
	_, packed := growing(t)
	damaged := spoilt(packed)
	for _, tc := range []struct {
		packed []byte
		field  string
	}{{packed, "middle"}, {damaged, pack.Data}} {
		s, _ := openGated(t.Context(), t, tc.packed, source.Options{}, func(_ physmem.Source, gate chan struct{}) (*physmem.Container, error) {
			close(gate)
			return nil, &physmem.FormatError{Format: "ours", Field: "middle", Offset: 1 << 21}
		})
		_, err := s.Image(t.Context())
		var bad *physmem.FormatError
		require.ErrorAs(t, err, &bad)
		assert.Equal(t, tc.field, bad.Field)
		require.NoError(t, s.Close())
	}
}

// TestUnpackingGivenUp: the end of the context ends unpacking and opening.
func TestUnpackingGivenUp(t *testing.T) {
	t.Parallel()
	plain, packed := growing(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s, _ := openGated(ctx, t, packed, source.Options{}, func(src physmem.Source, gate chan struct{}) (*physmem.Container, error) {
		stop()
		close(gate)
		return memoryOf(src, int64(len(plain)))
	})
	_, err := s.Image(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, s.Close())
}
