package convert_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/internal/guestsim"
	"windmp/internal/testheap"
	"windmp/winhdr/problem"
)

// TestKernelCountsProcessors: the kernel's own count decides how many processors the
// dump has, and not the header's, nor the filled entries of KiProcessorBlock.
func TestKernelCountsProcessors(t *testing.T) {
	t.Parallel()
	crashed := guestsim.Options{CPUs: 3, BugCheck: crash}
	for name, tt := range map[string]struct {
		opt   guestsim.Options
		noted uint32
		want  uint32
	}{
		"as noted":                    {crashed, 3, 3},
		"plugged in later":            {crashed, 1, 3},
		"too many noted":              {crashed, 9, 3},
		"none noted":                  {crashed, 0, 3},
		"never set":                   {crashed, problem.Fill, 3},
		"NT 5.2":                      {guestsim.Options{CPUs: 3, NumberProcessors: 3}, 3, 3},
		"NT 5.2, one starting":        {guestsim.Options{CPUs: 3, NumberProcessors: 2}, 2, 2},
		"NT 5.2, one starting, noted": {guestsim.Options{CPUs: 3, NumberProcessors: 2, BugCheck: crash}, 3, 2},
		"NT 5.2, noted before":        {guestsim.Options{CPUs: 3, NumberProcessors: 3, Encoded: true}, 1, 3},
		"NT 5.2, the count can't be":  {guestsim.Options{CPUs: 2, NumberProcessors: 200}, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(tt.opt)
			binary.LittleEndian.PutUint32(g.Header()[0x34:], tt.noted)
			dmp, r, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Equal(t, tt.want, u32(dmp, 0x34))
			assert.Equal(t, tt.noted != tt.want, findingOf(r, finding.ProcessorsFewer.ID()) != nil)
			g.Options.File.NoGuestNote = true
			dmp, _, err = convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Equal(t, tt.want, u32(dmp, 0x34), "without the note")
		})
	}
	// 32 bits.
	for _, noted := range []uint32{1, 7, 0} {
		core := testheap.Clone(t, gunzip(t, samplePath("x86-bsod-2cpu.vmcore.gz")))
		want, _, err := convertBytes(t, core, convert.Options{})
		require.NoError(t, err)
		binary.LittleEndian.PutUint32(core[bytes.Index(core, []byte("PAGEDUMP"))+0x24:], noted)
		got, r, err := convertBytes(t, core, convert.Options{})
		require.NoError(t, err)
		assert.NotNil(t, findingOf(r, finding.ProcessorsFewer.ID()))
		equalDumps(t, want, got)
	}
}

// TestCheckCountsProcessors: check says that a dump counts fewer than its kernel.
func TestCheckCountsProcessors(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 3, BugCheck: crash})
	dmp, _, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	require.Equal(t, "OK", checkBytes(dmp, inspect.CheckQuick).Verdict)
	binary.LittleEndian.PutUint32(dmp[0x34:], 2)
	f := checkBytes(dmp, inspect.CheckQuick)
	assert.Equal(t, "WARN", f.Verdict)
	assert.Equal(t, "the header counts 2 processors, the kernel 3", f.Reason)
	again, r, err := convertBytes(t, dmp, convert.Options{})
	require.NoError(t, err)
	assert.NotNil(t, findingOf(r, finding.ProcessorsFewer.ID()))
	assert.Equal(t, uint32(3), u32(again, 0x34))
}
