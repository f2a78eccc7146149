package progress

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/stage"
)

func linesOf(t *testing.T, out *bytes.Buffer) (all []Line) {
	t.Helper()
	for line := range bytes.Lines(out.Bytes()) {
		var l Line
		require.NoError(t, json.Unmarshal(line, &l))
		all = append(all, l)
	}
	return all
}

// TestProgressIsThrottled: however often bytes are reported, a stage has its
// first line, its last, and some in between.
func TestProgressIsThrottled(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := New(&out, true)
	const total = 1000
	for done := range int64(total + 1) {
		if done == total/2 {
			p.last = p.last.Add(-lineEvery) // as if so much time had passed
			p.stageStart = p.stageStart.Add(-lineEvery)
		}
		p.Update(stage.Progress{Stage: stage.Write, Done: done, Total: total})
	}
	p.Update(stage.Progress{Stage: stage.Write, Done: total, Total: total})
	p.Update(stage.Progress{Stage: stage.Sync})
	said := linesOf(t, &out)
	require.GreaterOrEqual(t, len(said), 4)
	assert.Less(t, len(said), 20, "a slow machine gets some more")
	assert.Equal(t, Line{Schema: Schema, Event: EventStage, Stage: "write", Total: total, Elapsed: said[0].Elapsed}, said[0])
	assert.Equal(t, EventBytes, said[1].Event)
	assert.Equal(t, int64(total/2), said[1].Done)
	assert.Positive(t, said[1].Rate)
	last := said[len(said)-2]
	assert.Equal(t, EventBytes, last.Event)
	assert.Equal(t, int64(total), last.Done)
	assert.Equal(t, Line{Schema: Schema, Event: EventStage, Stage: "sync", Elapsed: said[len(said)-1].Elapsed}, said[len(said)-1])
}

// TestProgressOfASecondPass: a stage may read its bytes again; the rate is that
// of the pass.
func TestProgressOfASecondPass(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := New(&out, true)
	for _, done := range []int64{0, 1 << 30, 0} {
		p.Update(stage.Progress{Stage: stage.Kernel, Done: done, Total: 1 << 30})
	}
	p.stageStart = p.stageStart.Add(-time.Second)
	p.last = p.last.Add(-lineEvery)
	p.Update(stage.Progress{Stage: stage.Kernel, Done: 1 << 20, Total: 1 << 30})
	said := linesOf(t, &out)
	last := said[len(said)-1]
	assert.Equal(t, int64(1<<20), last.Done)
	assert.LessOrEqual(t, last.Rate, float64(1<<20), "a clock may have stood still meanwhile")
	assert.Positive(t, last.Rate)
}
