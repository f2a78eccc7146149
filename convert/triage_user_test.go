package convert_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/internal/guestsim"
)

// TestSmallUserMemory: what a parameter and a register of the crash point to in a process
// is in a small dump if the process is to be kept, and never else.
func TestSmallUserMemory(t *testing.T) {
	t.Parallel()
	const pointed, also = 0x7ff600001040, 0x12345678
	secret := bytes.Repeat([]byte("password"), 0x100)
	build := func() *guestsim.Guest {
		g := guestsim.New(guestsim.Options{BugCheck: [5]uint64{0x50, pointed, 0, 0xfffff80412d00123, 0}})
		for _, at := range []uint64{pointed, also} {
			g.Map(at&^0xfff, 0x1000)
			g.Write(at, secret[:0x400])
		}
		g.Write64(g.Processors[0].Context+0xa8, also) // rsi
		return g
	}
	b, _, err := convertSim(t, build(), smallOptions(0))
	require.NoError(t, err)
	assert.NotContains(t, string(b), "password")

	opt := smallOptions(0)
	opt.Plan.KeepProcesses = []uint64{4}
	b, r, err := convertSim(t, build(), opt)
	require.NoError(t, err)
	assert.NotNil(t, findingOf(r, finding.TriageUser.ID()))
	s := readSmall(t, b)
	for _, at := range []uint64{pointed, also} {
		assert.True(t, s.holds(at), "%#x", at)
	}
	assert.Contains(t, string(b), string(secret[:0x400]))
}
