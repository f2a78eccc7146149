package convert_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/internal/guestsim"
)

// TestCrashInProgress: KeBugCheckEx has set the bug check and comes to stop the other
// processors; one of them still runs a process. What Windows saved of it is of another
// time, however well it looks.
func TestCrashInProgress(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 3, BugCheck: crash, UserMode: []int{1}})
	ownTables(g)
	dmp, r, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, report.FromVCPU, r.Processors[1].Contexts)
	assert.Contains(t, r.Processors[1].Note, "had not stopped it yet")
	assert.Equal(t, g.VCPUs[1].Rip, contextAt(t, dmp, g, 1).Rip)
	for _, i := range []int{0, 2} {
		assert.Equal(t, report.FromSaved, r.Processors[i].Contexts)
	}
}

// TestAllStoppedAlike: an NMI reaches all processors, and each calls KeBugCheckEx with
// the same arguments. One of those is shown first, and not one that did not.
func TestAllStoppedAlike(t *testing.T) {
	t.Parallel()
	nmi := [5]uint64{0x80, 0x4f4454}
	g := guestsim.New(guestsim.Options{CPUs: 4, BugCheck: nmi})
	ownTables(g)
	for i, p := range g.Processors {
		arguments := nmi
		if i == 0 || i == 3 {
			arguments = [5]uint64{}
		}
		for k, at := range []uint64{0x80, 0x88, 0xb8, 0xc0} { // Rcx, Rdx, R8, R9
			g.Write64(p.Context+at, arguments[k])
		}
	}
	_, r, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.True(t, r.Processors[1].ShownFirst)
	f := findingOf(r, finding.ShownFirst.ID())
	require.NotNil(t, f)
	assert.Equal(t, "2 processors stopped as if each had raised the bug check; processor 1 is shown first", f.Message)

	// So it is where only the place speaks for them.
	const ex = 0x5000
	g = guestsim.New(guestsim.Options{CPUs: 4, BugCheck: crash})
	ownTables(g)
	stopExports(g, ex, ex+0x100)
	for _, i := range []int{1, 3} {
		g.Write64(g.Processors[i].Context+0xf8, guestsim.KernBase+ex)
	}
	_, r, err = convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.True(t, r.Processors[1].ShownFirst)
	assert.Contains(t, findingOf(r, finding.ShownFirst.ID()).Message, "2 processors stopped as if each had raised the bug check")
}

// TestLoneProcessors: a container with registers of two of forty processors says so in
// a few sentences.
func TestLoneProcessors(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 40, BugCheck: crash})
	g.VCPUs = g.VCPUs[:2]
	_, r, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	said := 0
	for _, f := range r.Findings {
		if f.ID == finding.VCPUUnmatched.ID() {
			said++
		}
	}
	assert.Equal(t, 17, said)
}

// TestTimeOfNoMoment: a time whose halves do not belong together is not said to be the
// guest's.
func TestTimeOfNoMoment(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	g.Write32(guestsim.SharedUserData+0x1c, 0x01db0000) // High2Time
	dmp, r, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, u64(g.Header(), 0xfa8), u64(dmp, 0xfa8))
	assert.Equal(t, uint64(guestsim.InterruptTime), u64(dmp, 0x1030))
	assert.Equal(t, "the uptime is taken from KUSER_SHARED_DATA", findingOf(r, finding.TimeUpdated.ID()).Message)
	assert.Contains(t, findingOf(r, finding.TimeStale.ID()).Message, "no system time")
}
