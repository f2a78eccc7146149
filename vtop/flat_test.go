package vtop_test

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/vtop"
)

var errHole = errors.New("not in the dump")

// pieces are bytes by their place; the rest is a hole.
type pieces map[int64]byte

func (m pieces) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		b, ok := m[off+int64(i)]
		if !ok {
			return i, errHole
		}
		p[i] = b
	}
	return len(p), nil
}

// TestFlat: memory by virtual address is read where the canonical address has it,
// across what would be pages.
func TestFlat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode *vtop.Mode
		va   vtop.VA
		at   int64
	}{
		{vtop.FlatX64, 0xfffff80312345ffc, 0x01fff80312345ffc},
		{vtop.FlatX64, 0xff12345678901ffc, 0x0112345678901ffc},
		{vtop.FlatX64, 0x7ff612340ffc, 0x7ff612340ffc},
		{vtop.FlatX86, 0x82a10ffc, 0x82a10ffc},
	} {
		mem := pieces{}
		for i := range int64(8) {
			mem[tt.at+i] = byte(i + 1)
		}
		s := vtop.NewSpace(mem, 0x1ad000, tt.mode)
		v, err := s.Uint64(tt.va)
		require.NoError(t, err, tt.va)
		assert.Equal(t, binary.LittleEndian.Uint64([]byte{1, 2, 3, 4, 5, 6, 7, 8}), v)
		m, err := s.Translate(tt.va)
		require.NoError(t, err)
		assert.Equal(t, vtop.PA(tt.at), m.PA)

		// What the dump does not hold is no statement about the guest.
		b := make([]byte, 16)
		n, err := s.ReadVirtual(b, tt.va)
		assert.Equal(t, 8, n)
		require.ErrorIs(t, err, errHole)
		require.NotErrorIs(t, err, vtop.ErrNotMapped)
		var fault *vtop.FaultError
		require.ErrorAs(t, err, &fault)
		assert.Equal(t, tt.va+8, fault.VA)
		assert.Equal(t, vtop.PageUnreadable, fault.Kind)
		assert.Equal(t, "virtual address "+fault.VA.String()+": not in the dump", err.Error())
		_, err = s.Window(tt.va, 8).ReadAt(b, 0)
		require.ErrorIs(t, err, io.EOF)

		steps, err := s.Walk(tt.va)
		require.NoError(t, err)
		assert.Empty(t, steps)
		assert.True(t, s.Mapped(0, ^vtop.VA(0), 9, func(vtop.Mapping) bool { return false }))
		s.Visit(vtop.KernelHalf, nil)
	}
	for _, bad := range []struct {
		mode *vtop.Mode
		va   vtop.VA
	}{{vtop.FlatX64, 0x8000_0000_0000_0000}, {vtop.FlatX64, 0x0100_0000_0000_0000}, {vtop.FlatX86, 1 << 32}} {
		_, err := vtop.NewSpace(pieces{}, 0, bad.mode).Translate(bad.va)
		require.ErrorIs(t, err, vtop.ErrNotMapped)
	}
	assert.True(t, vtop.FlatX64.IsKernel(0xfffff80312345ffc))
	assert.False(t, vtop.FlatX64.IsKernel(0x7ff612340000))
}
