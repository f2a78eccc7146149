//go:build linux

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSummarise(t *testing.T) {
	t.Parallel()
	g := group{name: "g", data: 1}
	racers := []racer{{name: "a"}, {name: "b", against: "a"}}
	var runs []run
	for i, pair := range [][2]float64{{4, 2}, {10, 1}, {3, 3}} {
		runs = append(runs,
			run{Racer: "b", Round: i, Seconds: pair[1], User: 1, System: float64(i), PeakKiB: int64(i)},
			run{Racer: "a", Round: i, Seconds: pair[0]})
	}
	sums := summarise(g, racers, runs)
	require.Len(t, sums, 2)
	assert.InDelta(t, 4, sums[0].Seconds, 0)
	assert.InDelta(t, 2, sums[1].Seconds, 0)
	assert.InDelta(t, 2, sums[1].Ratio, 0, "the median of the rounds' ratios 2, 10 and 1")
	assert.InDelta(t, 1, sums[1].Least, 0)
	assert.InDelta(t, 2, sums[1].CPU, 0)
	assert.Equal(t, int64(2), sums[1].PeakKiB)

	text := table(sums)
	assert.Contains(t, text, "2.00 (a)")
	r := &runner{runs: runs, summaries: sums}
	assert.Len(t, strings.Split(strings.TrimSpace(string(r.csv())), "\n"), 1+len(runs))
	var doc map[string]any
	require.NoError(t, json.Unmarshal(r.json(), &doc))
	assert.Len(t, doc["runs"], len(runs))
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/usr/bin/time"); err != nil {
		t.Skip("NOT TESTED: GNU time is not installed (scripts/deps)")
	}
	dir := t.TempDir()
	in := &input{dir: dir, in: filepath.Join(dir, "in"), out: filepath.Join(dir, "out")}
	require.NoError(t, os.WriteFile(in.in, []byte("memory"), 0o600))
	one, err := measureOnly(t.Context(), racer{args: []string{"cp", "{in}", "{out}"}}, in)
	require.NoError(t, err)
	assert.Positive(t, one.Seconds)
	assert.Positive(t, one.PeakKiB)
	assert.FileExists(t, in.out)
	in.clear()
	assert.NoFileExists(t, in.out)
	_, err = measureOnly(t.Context(), racer{args: []string{"sh", "-c", "echo no good; exit 3"}}, in)
	require.ErrorContains(t, err, "exit status 3")
}

func TestNoise(t *testing.T) {
	t.Parallel()
	assert.Contains(t, noiseOf(nil), "nothing")
	quiet := []run{{Work: 0.050, Others: 0.02}, {Work: 0.055, Others: 0.3}, {Work: 0.052, Others: 0.01}}
	assert.Equal(t, "noise: others used 2% of the processors (at most 30%); a fixed piece of work took 50 to 55 ms, 1.10 times the least: the machine was quiet", noiseOf(quiet))
	assert.Contains(t, noiseOf(append(quiet, run{Work: 0.1})), "NOT quiet")
	assert.Contains(t, noiseOf([]run{{Work: 1, Others: 0.5}}), "NOT quiet")
	assert.Positive(t, fixedWork())
}

// TestInput: an input is replaced by what is made of it, and served by ranges.
func TestInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := &input{dir: dir, in: filepath.Join(dir, "in"), out: filepath.Join(dir, "out"), size: 7}
	require.NoError(t, os.WriteFile(in.in, []byte("memory"), 0o600))
	require.NoError(t, in.prepare(t.Context(), []string{"sh", "-c", `tr m M <"$1" >"$2"`, "sh", "{in}", "{out}"}))
	require.ErrorContains(t, in.prepare(t.Context(), []string{"sh", "-c", "echo no good; exit 3"}), "no good")
	stop, err := in.serve(t.Context())
	require.NoError(t, err)
	defer stop()
	assert.Equal(t, []string{in.url, "7"}, in.words([]string{"{url}", "{size}"}))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, in.url, http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Range", "bytes=2-3")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.Equal(t, "Mo", string(b))
}
