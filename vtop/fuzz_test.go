package vtop

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// ring is memory that repeats its bytes without an end, so that a walk over
// arbitrary bytes always finds a next table. Pages whose number has bit 3 set
// are missing.
type ring []byte

func (r ring) ReadAt(p []byte, off int64) (int, error) {
	for n := range p {
		at := off + int64(n)
		if at>>12&8 != 0 || len(r) == 0 {
			return n, errNotSaved
		}
		p[n] = r[at%int64(len(r))]
	}
	return len(p), nil
}

func entries(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

func FuzzWalk(f *testing.F) {
	f.Add(entries(0x67), uint64(0x1ad000), uint64(0xfffff80012345678), false)
	f.Add(entries(0x1067, 0, 0x2067, 1<<11|0x3080), uint64(0x1ad000), uint64(0x1008), true)
	f.Add(entries(0x80000000000010e7), uint64(2), uint64(0xfffff80012345678), false)
	f.Add(entries(0x400, 0x80, 5<<32, 0x8000000000001867), uint64(0), uint64(0x201008), false)
	f.Add([]byte{0xe3}, ^uint64(0), uint64(0x0000800000000000), true)
	f.Add([]byte{}, uint64(0), uint64(0), false)
	f.Fuzz(func(t *testing.T, memory []byte, dtb, address uint64, five bool) {
		mode := X64
		if five {
			mode = LA57
		}
		s, va := NewSpace(ring(memory), dtb, mode), VA(address)

		requireModel(t, s, va)
		m, err := s.Translate(va)
		var fault *FaultError
		switch {
		case err == nil:
			if m.PA >= 1<<52 || uint64(m.PA)%m.PageSize != uint64(va)%m.PageSize || m.VA != va || !s.Canonical(va) {
				t.Fatalf("mapping %+v", m)
			}
		case !errors.As(err, &fault) || fault.Kind == PageUnreadable:
			t.Fatalf("error %v", err)
		case errors.Is(err, ErrNotMapped) == errors.Is(err, errNotSaved):
			t.Fatalf("not one of both: %v", err)
		}

		const size = 0x1804
		pieces, piecesErr := s.Pieces(va, size)
		requirePieces(t, pieces, piecesErr, va, size)
		p := make([]byte, size)
		n, readErr := s.ReadVirtual(p, va)
		require.Equal(t, readErr == nil, n == size, "%d bytes, %v", n, readErr)
		if readErr == nil {
			require.NoError(t, piecesErr)
			require.Equal(t, gather(t, s, pieces), p)
		}
	})
}

// requirePieces: all of the range in order without a gap, or an error.
func requirePieces(t *testing.T, pieces []Piece, err error, va VA, size uint64) {
	t.Helper()
	require.Equal(t, err == nil, len(pieces) > 0)
	if err != nil {
		return
	}
	var sum uint64
	for i, piece := range pieces {
		require.Equal(t, va+VA(sum), piece.VA)
		require.NotZero(t, piece.Size)
		if i > 0 {
			require.NotEqual(t, pieces[i-1].PA+PA(pieces[i-1].Size), piece.PA, "could be joined")
		}
		sum += piece.Size
	}
	require.Equal(t, size, sum)
}

func gather(t *testing.T, s *Space, pieces []Piece) []byte {
	t.Helper()
	var all []byte
	for _, piece := range pieces {
		part := make([]byte, piece.Size)
		_, err := s.Mem.ReadAt(part, int64(piece.PA))
		require.NoError(t, err)
		all = append(all, part...)
	}
	return all
}
