//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"windmp/physmem/open"
)

// run is one measured run.
type run struct {
	Group   string  `json:"group"`
	Racer   string  `json:"racer"`
	Round   int     `json:"round"`
	Seconds float64 `json:"seconds"`
	User    float64 `json:"user_seconds"`
	System  float64 `json:"system_seconds"`
	PeakKiB int64   `json:"peak_kib"`
	// Others is the share of all processors that other programs used meanwhile, and
	// the host, if this is a virtual machine and it says so.
	Others float64 `json:"others"`
	// Work is how many seconds a fixed piece of work took right before the run.
	Work float64 `json:"fixed_work_seconds"`
}

// runner runs groups and keeps what came out.
type runner struct {
	settings
	runs      []run
	summaries []summary
	start     time.Time
}

// input is what a group works on.
type input struct {
	dir, in, out string
	url          string // of in, if it is served
	start, size  uint64 // of the last range of memory
}

// group makes the input, lets the racers run, prints, and cleans up.
func (r *runner) group(ctx context.Context, g group) error {
	folder := r.ram
	if g.onDisk {
		folder = r.disk
	}
	if folder == "" {
		return nil
	}
	if err := enough(folder, g.space); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(folder, "windmp-bench.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // nothing more can be done
	in, err := r.makeInput(ctx, g, dir)
	if err != nil {
		return err
	}
	if err := in.prepare(ctx, g.prepare); err != nil {
		return err
	}
	if g.serve {
		stop, err := in.serve(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	fmt.Printf("\n%s: %s\n", g.name, g.about)
	racers, err := r.warmUp(ctx, g, in)
	if err != nil {
		return err
	}
	rounds := r.rounds
	if g.rounds > 0 {
		rounds = min(rounds, g.rounds)
	}
	var runs []run
	for i := range rounds {
		for j := range racers {
			racer := racers[(i+j)%len(racers)]
			r.awaitQuiet(ctx)
			work := fixedWork()
			one, err := measure(ctx, g.before, racer, in)
			if err != nil {
				return fmt.Errorf("%s: %w", racer.name, err)
			}
			one.Group, one.Racer, one.Round, one.Work = g.name, racer.name, i, work
			runs = append(runs, one)
		}
	}
	r.runs = append(r.runs, runs...)
	sums := summarise(g, racers, runs)
	r.summaries = append(r.summaries, sums...)
	fmt.Print(table(sums))
	fmt.Println(noiseOf(runs))
	return nil
}

// enough refuses a folder without the space.
func enough(folder string, gib uint64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return err
	}
	if free := st.Bavail * uint64(st.Bsize) >> 30; free < gib {
		return fmt.Errorf("%s has %d GiB free, %d are needed", folder, free, gib)
	}
	return nil
}

func (r *runner) makeInput(ctx context.Context, g group, dir string) (*input, error) {
	in := &input{dir: dir, in: filepath.Join(dir, "in"), out: filepath.Join(dir, "out")}
	cmd := exec.CommandContext(ctx, r.mkbig, append(g.mkbig, in.in)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mkbig: %w: %s", err, out)
	}
	im, err := open.File(ctx, in.in, open.Options{})
	if err != nil {
		return nil, err
	}
	ranges := im.Ranges()
	last := ranges[len(ranges)-1]
	in.start, in.size = last.Start, last.Size
	return in, im.Close()
}

// warmUp runs each racer once, which fills caches and shows that it runs, and
// verifies an output.
func (r *runner) warmUp(ctx context.Context, g group, in *input) ([]racer, error) {
	var racers []racer
	for _, racer := range g.racers {
		in.clear()
		_, err := measureOnly(ctx, racer, in)
		switch {
		case err != nil && racer.optional:
			fmt.Printf("%s does NOT RUN here: %v\n", racer.name, err)
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", racer.name, err)
		}
		if racer.name == g.verify {
			if err := sameEnd(in.in, in.out); err != nil {
				return nil, err
			}
		}
		racers = append(racers, racer)
	}
	return racers, nil
}

// clear removes outputs.
func (in *input) clear() {
	left, _ := filepath.Glob(in.out + "*")
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// sameEnd compares the last 64 MiB of two files: the memory that was added.
func sameEnd(a, b string) error {
	const size = 64 << 20
	tail := func(path string) ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // only read
		if _, err := f.Seek(-size, io.SeekEnd); err != nil {
			return nil, err
		}
		return io.ReadAll(f)
	}
	x, err := tail(a)
	if err != nil {
		return err
	}
	y, err := tail(b)
	if err != nil {
		return err
	}
	if !bytes.Equal(x, y) {
		return errors.New("the output does not end like the input")
	}
	return nil
}

// measure runs a racer without outputs of others, and with nothing left to write
// to the disk; before it another program, if there is one.
func measure(ctx context.Context, before []string, r racer, in *input) (run, error) {
	in.clear()
	if before != nil {
		if _, err := measureOnly(ctx, racer{args: before}, in); err != nil {
			return run{}, err
		}
		in.clear()
	}
	unix.Sync()
	defer in.clear()
	return measureOnly(ctx, r, in)
}

// measureOnly runs a racer under GNU time, which knows its memory: a child of this
// process would be charged for this process' own.
func measureOnly(ctx context.Context, r racer, in *input) (run, error) {
	report := filepath.Join(in.dir, "time")
	args := append([]string{"-o", report, "-f", "%U %S %M"}, in.words(r.args)...)
	cmd := exec.CommandContext(ctx, "/usr/bin/time", args...)
	cmd.Dir = in.dir
	before := processors()
	start := time.Now()
	out, err := cmd.CombinedOutput()
	one := run{Seconds: time.Since(start).Seconds()}
	after := processors()
	if err != nil {
		return run{}, fmt.Errorf("%w: %s", err, lastLine(out))
	}
	b, err := os.ReadFile(report)
	if err != nil {
		return run{}, err
	}
	if _, err := fmt.Sscanf(lastLine(b), "%g %g %d", &one.User, &one.System, &one.PeakKiB); err != nil {
		return run{}, fmt.Errorf("GNU time says %q: %w", b, err)
	}
	n := float64(runtime.NumCPU())
	one.Others = max(0, (after-before-one.User-one.System)/(n*one.Seconds))
	if one.Others = min(one.Others, 1); math.IsNaN(one.Others) {
		one.Others = 0
	}
	return one, nil
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// awaitQuiet waits until other programs leave the processors alone.
func (r *runner) awaitQuiet(ctx context.Context) {
	const look = 500 * time.Millisecond
	for end := time.Now().Add(r.wait); time.Now().Before(end) && ctx.Err() == nil; {
		before := processors()
		time.Sleep(look)
		if (processors()-before)/(look.Seconds()*float64(runtime.NumCPU())) < 0.1 {
			return
		}
	}
}

// processors is how many seconds all processors were busy (proc(5), /proc/stat).
func processors() float64 {
	const hz = 100 // USER_HZ
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(strings.SplitN(string(b), "\n", 2)[0])
	busy := 0.0
	for i, f := range fields {
		if v, err := strconv.ParseFloat(f, 64); err == nil && i >= 1 && i <= 8 && i != 4 && i != 5 { // not idle, not iowait
			busy += v
		}
	}
	return busy / hz
}

// machine says on what this runs.
func (r *runner) machine() string {
	r.start = time.Now()
	var u unix.Utsname
	_ = unix.Uname(&u)
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s: %d processors (%s), Linux %s, memory on %s, disk on %s, %s",
		r.start.UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), model, unix.ByteSliceToString(u.Release[:]),
		fileSystem(r.ram), fileSystem(r.disk), runtime.Version())
}

// fileSystem names a folder's file system by its magic number (statfs(2)).
func fileSystem(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "none"
	}
	names := map[int64]string{unix.TMPFS_MAGIC: "tmpfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}
	if name, ok := names[int64(st.Type)]; ok { //nolint:unconvert // its type differs by system
		return name
	}
	return fmt.Sprintf("file system %#x", st.Type)
}
