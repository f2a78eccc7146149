package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/progress"
	"windmp/convert/stage"
)

// progressLines are the lines of JSON that a run prints of how far it is. Its clock stands
// still, but for what it sleeps.
func progressLines(t *testing.T, run func(*progress.Shown)) (all []progress.Line) {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(*testing.T) { run(progress.New(&out, true)) })
	for line := range bytes.Lines(out.Bytes()) {
		var l progress.Line
		require.NoError(t, json.Unmarshal(line, &l))
		assert.Equal(t, progress.Schema, l.Schema)
		l.Schema = ""
		all = append(all, l)
	}
	return all
}

// TestProgressIsThrottled: however often bytes are reported, a stage has its first line,
// its last, and one each half of a second.
func TestProgressIsThrottled(t *testing.T) {
	t.Parallel()
	const total, pause = 1000, 500 * time.Millisecond
	said := progressLines(t, func(p *progress.Shown) {
		for done := range int64(total + 1) {
			switch done {
			case total / 4:
				time.Sleep(pause - time.Nanosecond)
			case total / 2:
				time.Sleep(time.Nanosecond)
			}
			p.Update(stage.Progress{Stage: stage.Write, Done: done, Total: total})
		}
		p.Update(stage.Progress{Stage: stage.Write, Done: total, Total: total})
		p.Update(stage.Progress{Stage: stage.Sync})
	})
	const then = 0.5
	assert.Equal(t, []progress.Line{
		{Event: progress.EventStage, Stage: "write", Total: total},
		{Event: progress.EventBytes, Stage: "write", Done: total / 2, Total: total, Elapsed: then, Rate: total},
		{Event: progress.EventBytes, Stage: "write", Done: total, Total: total, Elapsed: then, Rate: 2 * total},
		{Event: progress.EventStage, Stage: "sync", Elapsed: then},
	}, said)
}

// TestProgressOfASecondPass: a stage may read its bytes again; the rate is that
// of the pass.
func TestProgressOfASecondPass(t *testing.T) {
	t.Parallel()
	said := progressLines(t, func(p *progress.Shown) {
		for _, done := range []int64{0, 1 << 30, 1 << 20, 3 << 20} {
			p.Update(stage.Progress{Stage: stage.Kernel, Done: done, Total: 1 << 30})
			time.Sleep(time.Second)
		}
	})
	assert.Equal(t, progress.Line{
		Event: progress.EventBytes, Stage: "kernel", Done: 3 << 20, Total: 1 << 30, Elapsed: 3, Rate: 2 << 20,
	}, said[len(said)-1])
}
