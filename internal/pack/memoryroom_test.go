package pack

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMemoryRoom: what lies in memory is read as from a file: holes are zeros, it ends
// where it was told to, and it takes no more than its limit.
func TestMemoryRoom(t *testing.T) {
	t.Parallel()
	m, file := &memoryRoom{}, make([]byte, 20*grain+77)
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		part := bytes.Repeat([]byte{byte(random.Uint32())}, 1+random.IntN(2*grain))
		at := random.IntN(len(file) - len(part))
		copy(file[at:], part)
		n, err := m.WriteAt(part, int64(at))
		require.NoError(t, err)
		assert.Equal(t, len(part), n)
	}
	require.NoError(t, m.Truncate(int64(len(file))))
	got := make([]byte, len(file))
	_, err := m.ReadAt(got, 0)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(file, got))
	n, err := m.ReadAt(got, int64(len(file))-5)
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, 5, n)
	n, err = m.ReadAt(got, int64(len(file))+5)
	require.ErrorIs(t, err, io.EOF)
	assert.Zero(t, n)
}

// TestMemoryRoomHoles: holes take no memory, and what lies behind them is found.
func TestMemoryRoomHoles(t *testing.T) {
	t.Parallel()
	m := &memoryRoom{}
	_, err := m.WriteAt([]byte{1}, 100*grain+1)
	require.NoError(t, err)
	require.NoError(t, m.Truncate(1000*grain))
	assert.Equal(t, int64(100*grain), m.NextData(5))
	assert.Equal(t, int64(100*grain+7), m.NextData(100*grain+7))
	assert.Equal(t, int64(1000*grain), m.NextData(101*grain))
	assert.Len(t, m.blocks, 1)
	m.blocks = make(map[int64]*[grain]byte)
	for i := range int64(memoryLimit / grain) {
		m.blocks[i] = nil
	}
	_, err = m.WriteAt([]byte{1}, memoryLimit)
	require.ErrorContains(t, err, "no room for more than")
}
