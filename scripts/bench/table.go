//go:build linux

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// summary is what came out for one racer.
type summary struct {
	Group   string  `json:"group"`
	Racer   string  `json:"racer"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"median_seconds"`
	// GBPerSecond is the guest's memory that is no hole, over that.
	GBPerSecond float64 `json:"gb_per_second"`
	CPU         float64 `json:"median_cpu_seconds"`
	Against     string  `json:"against,omitempty"`
	// Ratio is how many times as fast as Against it was: the median of the rounds.
	Ratio float64 `json:"times_as_fast,omitempty"`
	// Least is the same of the round in which it was the least.
	Least   float64 `json:"least_times_as_fast,omitempty"`
	PeakKiB int64   `json:"peak_kib"`
	Others  float64 `json:"median_others"`
}

func summarise(g group, racers []racer, runs []run) []summary {
	list := make([]summary, 0, len(racers))
	for _, r := range racers {
		own := of(runs, r.name)
		s := summary{Group: g.name, Racer: r.name, Rounds: len(own), Against: r.against}
		s.Seconds = median(own, func(x run) float64 { return x.Seconds })
		s.CPU = median(own, func(x run) float64 { return x.User + x.System })
		s.Others = median(own, func(x run) float64 { return x.Others })
		s.GBPerSecond = float64(g.data<<30) / s.Seconds / 1e9
		for _, x := range own {
			s.PeakKiB = max(s.PeakKiB, x.PeakKiB)
		}
		if r.against != "" {
			other := of(runs, r.against)
			ratio := func(x run) float64 { return other[x.Round].Seconds / x.Seconds }
			s.Ratio = median(own, ratio)
			s.Least = math.Inf(1)
			for _, x := range own {
				s.Least = min(s.Least, ratio(x))
			}
		}
		list = append(list, s)
	}
	return list
}

// of are a racer's runs, by round.
func of(runs []run, name string) []run {
	var list []run
	for _, x := range runs {
		if x.Racer == name {
			list = append(list, x)
		}
	}
	return list
}

func median(runs []run, value func(run) float64) float64 {
	v := make([]float64, 0, len(runs))
	for _, x := range runs {
		v = append(v, value(x))
	}
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// table prints summaries for people.
func table(list []summary) string {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { _, _ = io.WriteString(t, strings.Join(cells, "\t")+"\t\n") } // to memory
	row("racer", "seconds", "GB/s", "CPU s", "times as fast", "at least", "peak MiB", "others")
	for _, s := range list {
		ratio, least := "-", "-"
		if s.Against != "" {
			ratio, least = fmt.Sprintf("%.2f (%s)", s.Ratio, s.Against), fmt.Sprintf("%.2f", s.Least)
		}
		row(s.Racer, fmt.Sprintf("%.3f", s.Seconds), fmt.Sprintf("%.2f", s.GBPerSecond), fmt.Sprintf("%.2f", s.CPU), ratio, least,
			fmt.Sprintf("%.1f", float64(s.PeakKiB)/1024), fmt.Sprintf("%.0f%%", 100*s.Others))
	}
	_ = t.Flush()
	return b.String()
}

// csv is all runs, a line each.
func (r *runner) csv() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"group", "racer", "round", "seconds", "user", "system", "peak_kib", "others", "fixed_work"}) // to memory
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
	for _, x := range r.runs {
		_ = w.Write([]string{
			x.Group, x.Racer, strconv.Itoa(x.Round), number(x.Seconds), number(x.User), number(x.System),
			strconv.FormatInt(x.PeakKiB, 10), number(x.Others), number(x.Work),
		})
	}
	w.Flush()
	return b.Bytes()
}

// json is the medians, the runs and the machine.
func (r *runner) json() []byte {
	b, err := json.MarshalIndent(map[string]any{"machine": r.machine(), "noise": noiseOf(r.runs), "summaries": r.summaries, "runs": r.runs}, "", "  ")
	if err != nil {
		return nil // the types encode
	}
	return append(b, '\n')
}
