//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// workshop is where the two programs work.
type workshop struct {
	dir      string
	old, new string // programs
	limit    time.Duration
}

// outcome is what one run of windmp left.
type outcome struct {
	code           string // exit code, or what else ended it
	stdout, stderr []byte
	files          map[string]string // path of each file that the run made, by name
	modes          map[string]os.FileMode
}

// runAll runs the cases, several at the same time, and returns the differences in
// the cases' order.
func runAll(ctx context.Context, w *workshop, cases []testCase, jobs int) ([]difference, error) {
	results := make([][]difference, len(cases))
	failures := make([]error, len(cases))
	next := make(chan int)
	var group sync.WaitGroup
	for range max(jobs, 1) {
		group.Go(func() {
			for i := range next {
				results[i], failures[i] = w.try(ctx, cases[i])
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	group.Wait()
	var all []difference
	for _, r := range results {
		all = append(all, r...)
	}
	return all, errors.Join(failures...)
}

// try runs one case with both programs, in folders that look the same to them.
func (w *workshop) try(ctx context.Context, c testCase) ([]difference, error) {
	dir, err := os.MkdirTemp(w.dir, "case")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var sides [2]*outcome
	for i, program := range []string{w.old, w.new} {
		if sides[i], err = w.run(ctx, program, filepath.Join(dir, fmt.Sprint(i)), c); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name(), err)
		}
	}
	found, err := differences(sides[0], sides[1])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name(), err)
	}
	for i := range found {
		found[i].name = c.name()
	}
	return found, nil
}

// run runs one program in a folder that holds the input and nothing else.
func (w *workshop) run(ctx context.Context, program, dir string, c testCase) (*outcome, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	in := filepath.Join(dir, c.in.name)
	if err := os.Link(c.in.path, in); err != nil {
		return nil, err
	}
	for name, text := range c.there {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, c.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = []string{"HOME=" + dir, "PATH=/usr/bin:/bin", "TMPDIR=" + dir, "TZ=UTC", "LC_ALL=C.UTF-8"}
	err := cmd.Run()
	o := &outcome{stdout: settle(stdout.Bytes()), stderr: settle(stderr.Bytes()), files: map[string]string{}, modes: map[string]os.FileMode{}}
	var ended *exec.ExitError
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return nil, context.Cause(ctx)
	case ctx.Err() != nil:
		o.code = fmt.Sprintf("none, ended after %v", w.limit)
	case errors.As(err, &ended):
		o.code = strings.TrimPrefix(ended.String(), "exit status ")
	case err != nil:
		return nil, err
	default:
		o.code = "0"
	}
	err = o.gather(dir, c.in.name)
	return o, err
}

// What differs between two runs of one program: times, what of a file is holes, how often progress is told,
// and the random part of a temporary name.
var (
	progressOfBytes = regexp.MustCompile(`(?m)^{"schema":"windmp/progress/v1","event":"bytes".*\n`)
	progressNumbers = regexp.MustCompile(`(?m)^({"schema":"windmp/progress/v1",.*"done":)\d+(,"total":\d+,"elapsed":)[0-9.e-]+(,"rate":)[0-9.e+-]+`)
	tookSeconds     = regexp.MustCompile(`(?m)^  "seconds": [0-9.e-]+,\n`)
	onDisk          = regexp.MustCompile(`(?m)^    "on_disk": \d+,\n`)
	saidSpeed       = regexp.MustCompile(`in (?:less than a second|[0-9.]+ s, [0-9.]+ [KMGT]?i?B/s)`)
	temporaryName   = regexp.MustCompile(`\.[0-9]+\.windmp-part`)
)

// settle takes out of what was printed what differs anyway.
func settle(b []byte) []byte {
	if !isText(b) {
		return b
	}
	b = progressOfBytes.ReplaceAll(b, nil)
	b = progressNumbers.ReplaceAll(b, []byte("${1}0${2}0${3}0"))
	b = onDisk.ReplaceAll(tookSeconds.ReplaceAll(b, nil), nil)
	b = saidSpeed.ReplaceAll(b, []byte("in some time"))
	return temporaryName.ReplaceAll(b, []byte(".0.windmp-part"))
}

// gather notes the files beside the input.
func (o *outcome) gather(dir, input string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		st, err := e.Info()
		if err != nil {
			return err
		}
		if e.Name() != input {
			o.files[e.Name()] = filepath.Join(dir, e.Name())
			o.modes[e.Name()] = st.Mode()
		}
	}
	return nil
}
