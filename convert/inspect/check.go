package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/physmem"
	"windmp/physmem/open"
)

// CheckLevel says how deep a check goes.
type CheckLevel string

// The levels.
const (
	// CheckHeader looks at the container and the header.
	CheckHeader CheckLevel = "header"
	// CheckQuick also follows the header into memory: page tables, KDBG,
	// processors, modules. It reads kilobytes.
	CheckQuick CheckLevel = "quick"
	// CheckFull also reads every byte, and gives the file's SHA-256.
	CheckFull CheckLevel = "full"
)

// ParseCheckLevel reads a level's name; the error is a [*UsageError].
func ParseCheckLevel(s string) (CheckLevel, error) {
	return stage.ParseMode("level", s, CheckHeader, CheckQuick, CheckFull)
}

// CheckOptions steer a check. The zero value is a quick one without limits.
type CheckOptions struct {
	Level CheckLevel
	// MaxSize is the most bytes that the receiver of the dump takes, 0 for no
	// limit.
	MaxSize int64
	// Jobs is how many files are checked at the same time, 0 for two.
	Jobs int
	// Source and Guest say what the files themselves do not.
	Source source.Options
	Guest  guest.Options
	// Progress is as that of [Options], with [StageRead] for all files together:
	// what is unpacked, and with CheckFull what is read. Total grows when more
	// turns out to be read.
	Progress func(stage.Progress)
}

// meter counts what a check of files reads.
func (o *CheckOptions) meter(paths ...string) *stage.Meter {
	total := int64(0)
	for _, path := range paths {
		if st, err := os.Stat(path); err == nil && o.Level == CheckFull {
			total += st.Size()
		}
	}
	return stage.NewMeter(stage.Read, total, 0, o.Progress)
}

// DefaultCheckJobs is how many files are checked at the same time.
const DefaultCheckJobs = 2

// CheckReport is the verdict on some files.
type CheckReport struct {
	// Verdict is the worst of the files'.
	Verdict string      `json:"verdict"`
	Level   CheckLevel  `json:"level"`
	MaxSize int64       `json:"max_size,omitempty"`
	Counts  CheckCounts `json:"counts"`
	Files   []FileCheck `json:"files"`
}

// CheckCounts counts files by verdict.
type CheckCounts struct {
	OK      int `json:"ok"`
	Warn    int `json:"warn"`
	Unknown int `json:"unknown"`
	Fail    int `json:"fail"`
}

// FileCheck is the verdict on one file, made to be attached to a ticket: it
// holds no contents of the guest's memory.
type FileCheck struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	Format string `json:"format,omitempty"`
	// Description is the container in words.
	Description string `json:"description,omitempty"`
	// Kind is core for a file that windmp converts, dump for one that a
	// debugger opens, empty for neither.
	Kind string `json:"kind,omitempty"`
	// Verdict is OK, WARN, UNKNOWN or FAIL; Reason is the first finding that
	// decided it, empty for OK.
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	// SHA256 is the file's, 64 hex digits, after a full check.
	SHA256 string                 `json:"sha256,omitempty"`
	System *report.System         `json:"system,omitempty"`
	Bug    *report.BugCheckDetail `json:"bug_check,omitempty"`
	Dump   *DumpReport            `json:"dump,omitempty"`
	// Output is what a conversion would write.
	Output   *report.Output    `json:"output,omitempty"`
	Findings []finding.Finding `json:"findings"`
	Error    *report.Error     `json:"error,omitempty"`

	// Err is why the check ended early: an error of open.File, a
	// [*RefusedError], or of reading.
	Err error `json:"-"`
}

// The kinds of files.
const (
	kindCore = "core"
	kindDump = "dump"
)

// CheckFiles checks files, a few at a time; the report has them in the order of
// paths. It never fails as a whole: what went wrong with a file is in its
// entry.
func CheckFiles(ctx context.Context, paths []string, opt CheckOptions) *CheckReport {
	if opt.Level == "" {
		opt.Level = CheckQuick
	}
	m := opt.meter(paths...)
	r := &CheckReport{Level: opt.Level, MaxSize: opt.MaxSize, Files: make([]FileCheck, len(paths))}
	var group errgroup.Group
	group.SetLimit(max(1, min(opt.Jobs, write.MaxWorkers)))
	if opt.Jobs == 0 {
		group.SetLimit(DefaultCheckJobs)
	}
	var mu sync.Mutex
	for i, path := range paths {
		group.Go(func() error {
			f := checkFile(ctx, path, opt, m)
			mu.Lock()
			defer mu.Unlock()
			r.Files[i] = *f
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
	m.Finish()
	r.count()
	return r
}

// count sums up the files' verdicts.
func (r *CheckReport) count() {
	order := []string{"OK", "WARN", "UNKNOWN", "FAIL"}
	counters := []*int{&r.Counts.OK, &r.Counts.Warn, &r.Counts.Unknown, &r.Counts.Fail}
	worst := 0
	for i := range r.Files {
		at := max(0, slices.Index(order, r.Files[i].Verdict))
		*counters[at]++
		worst = max(worst, at)
	}
	r.Verdict = order[worst]
}

// fileChecker checks one file.
type fileChecker struct {
	*FileCheck
	opt   CheckOptions
	meter *stage.Meter
	// stage is the one that runs, for errors that do not say.
	stage stage.Stage
	image *physmem.Image // once it is opened
	// size is that of what is examined, more than Size when the file is packed.
	size int64
	finding.List
}

// CheckFile checks one file. The result is never nil.
func CheckFile(ctx context.Context, path string, opt CheckOptions) *FileCheck {
	m := opt.meter(path)
	defer m.Finish()
	return checkFile(ctx, path, opt, m)
}

// CheckReader checks size bytes of r, which stays the caller's, as [CheckFile] does
// a file that is not packed. The result is never nil.
func CheckReader(ctx context.Context, r io.ReaderAt, size int64, opt CheckOptions) *FileCheck {
	m := opt.meter()
	defer m.Finish()
	c := &fileChecker{FileCheck: &FileCheck{Size: size, Findings: []finding.Finding{}}, opt: opt, meter: m, stage: stage.Open, size: size}
	c.Err = c.check(ctx, r)
	c.finish()
	return c.FileCheck
}

func checkFile(ctx context.Context, path string, opt CheckOptions, m *stage.Meter) *FileCheck {
	c := &fileChecker{FileCheck: &FileCheck{Path: path, Findings: []finding.Finding{}}, opt: opt, meter: m, stage: stage.Open}
	c.Err = c.run(ctx)
	c.finish()
	return c.FileCheck
}

// run opens the file for the check of its kind.
func (c *fileChecker) run(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := openRegular(c.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if c.Size, err = f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	c.size = c.Size
	defer func() {
		if err == nil && c.opt.Level == CheckFull {
			c.stage = stage.Read
			c.SHA256, err = hashFile(ctx, c.meter.Reader(f), c.Size)
		}
	}()
	return c.checkPacked(ctx, f)
}

// checkPacked unpacks what is packed, as a conversion does.
func (c *fileChecker) checkPacked(ctx context.Context, f *os.File) (err error) {
	t, err := source.UnpackFile(ctx, c.Path, c.opt.Source.TempDir, func(size int64) *stage.Meter {
		c.meter.Grow(size)
		return c.meter
	})
	if err != nil {
		return err
	}
	if t == nil {
		src, err := open.NewFile(f)
		if err != nil {
			return err
		}
		return c.check(ctx, src)
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	c.size = t.Size()
	return c.check(ctx, t)
}

// openRegular opens a file or a block device: opening a pipe would wait.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && info.Mode()&os.ModeDevice == 0 || info.Mode()&os.ModeCharDevice != 0 {
		return nil, &finding.RefusedError{Finding: finding.NotRecognised.At("", "%s is not a regular file", path), Unsupported: true}
	}
	return os.Open(path)
}

// check decides of what kind the file is.
func (c *fileChecker) check(ctx context.Context, r io.ReaderAt) error {
	head, looksDump, err := dumpHead(r, c.size)
	if err != nil {
		return err
	}
	if looksDump {
		c.Kind = kindDump
		c.stage = stage.Header
		err = c.checkDump(ctx, r, head)
	} else {
		err = c.checkCore(ctx, r)
	}
	if c.image != nil {
		err = c.BlameDisk(c.image, err)
	}
	if err == nil && c.opt.Level == CheckFull {
		c.stage = stage.Read
		err = c.readMemory(ctx, r)
	}
	return err
}

// checkCore says whether a file converts, and to what.
func (c *fileChecker) checkCore(ctx context.Context, r io.ReaderAt) error {
	im, err := open.Source(ctx, physmem.NewSource("", r, c.size), c.opt.Source.Input)
	if err != nil {
		return c.notOpened(err)
	}
	c.Kind = kindCore
	c.describe(im)
	if c.opt.Level == CheckHeader {
		c.stage = stage.Header
		g, err := guest.FindHeader(im, c.opt.Guest)
		c.adopt(g)
		return err
	}
	g, err := guest.Find(ctx, im, c.opt.Guest)
	c.adopt(g)
	if err != nil {
		return err
	}
	p, err := plan.New(g, plan.Options{})
	c.All = append(c.All, p.Findings()...)
	if p.Size() > 0 {
		c.Output = planned(p)
		c.limit(p.Size(), "the dump made of it")
	}
	return err
}

// planned is what a conversion with default options would write.
func planned(p *plan.Plan) *report.Output {
	r := report.New("", "", true)
	r.Guest = &report.Guest{}
	plan.Describe(r, p)
	return &r.Output
}

// notOpened turns an error of physmem into a finding.
func (c *fileChecker) notOpened(err error) error {
	var format *physmem.FormatError
	var unsupported *physmem.UnsupportedError
	var unknown *physmem.UnknownFormatError
	switch {
	case errors.As(err, &format):
		c.Add(finding.Malformed.WithAdvice(format.Hint).At(fmt.Sprintf("file offset %#x", format.Offset), "%v", err))
	case errors.As(err, &unsupported):
		c.Add(finding.NotRecognised.WithAdvice(unsupported.Hint).At("", "%v", err))
	case errors.As(err, &unknown):
		c.Add(finding.NotRecognised.WithAdvice(unknown.Hint).At("", "%v", err))
	}
	return err
}

func (c *fileChecker) describe(im *physmem.Image) {
	c.image = im
	c.Format, c.Description = string(im.Format()), im.Describe()
}

// adopt takes over what an examination found.
func (c *fileChecker) adopt(g *guest.Guest) {
	c.All = append(c.All, g.Findings()...)
	c.System, c.Bug = systemOf(g), bugCheckOf(g)
}

// limit compares a size with what the receiver takes.
func (c *fileChecker) limit(size int64, what string) {
	if c.opt.MaxSize == 0 || size <= c.opt.MaxSize {
		return
	}
	c.Add(finding.TooLarge.At("", "%s has %d bytes, the limit is %d", what, size, c.opt.MaxSize))
}

// finish folds the findings into the verdict.
func (c *fileChecker) finish() {
	c.FileCheck.Findings = append(c.FileCheck.Findings, c.All...)
	c.Error = report.OfError(c.Err)
	if c.Error != nil && c.Error.Stage == "" {
		c.Error.Stage = string(c.stage)
	}
	c.Verdict = finding.Verdict(c.All)
	var refused *finding.RefusedError
	if c.Err != nil && c.Verdict != "FAIL" {
		c.Verdict = "UNKNOWN" // the check did not come to its end
		if errors.As(c.Err, &refused) && refused.Finding.Severity == finding.SeverityFail {
			c.Verdict = "FAIL"
		}
	}
	if c.Verdict == "OK" {
		return
	}
	w := finding.Worst(c.All)
	if i := slices.IndexFunc(c.All, func(f finding.Finding) bool { return f.Severity == w }); i >= 0 && w.Rank() > finding.SeverityInfo.Rank() {
		c.Reason = c.All[i].Message
	} else if c.Err != nil {
		c.Reason = c.Err.Error()
	}
}
