package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"windmp/convert/cause"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/identity"
	"windmp/convert/judge"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/physmem"
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

// ParseCheckLevel reads a level's name; the error is a [*stage.UsageError].
func ParseCheckLevel(s string) (CheckLevel, error) {
	return stage.ParseMode("level", s, CheckHeader, CheckQuick, CheckFull)
}

// CheckOptions steer a check. The zero value is a quick one without limits.
type CheckOptions struct {
	Level CheckLevel
	// MaxSize is the most bytes that the receiver of the dump takes, 0 for no
	// limit. No more is written to the disk of a packed file.
	MaxSize int64
	// Jobs is how many files are checked at the same time, 0 for two.
	Jobs int
	// Details asks for [FileCheck.Details], at all levels but CheckHeader. It reads some
	// kilobytes more.
	Details bool
	// Source and Guest say what the files themselves do not. The limits of Source are
	// those of each file: one that they end is UNKNOWN, but where it is too large.
	Source source.Options
	Guest  guest.Options
	// Whole, when set, is called before all of a file is read, with its path. Two
	// calls may come at the same time.
	Whole func(path string, w stage.Whole)
	// Progress is as that of a conversion, with [stage.Read] for all files together:
	// what is unpacked, and with CheckFull what is read. Total grows when more
	// turns out to be read.
	Progress func(stage.Progress)
}

// Validate returns a [*stage.UsageError] if the options make no sense for any file.
func (o *CheckOptions) Validate() error {
	if o.Level != "" {
		if _, err := ParseCheckLevel(string(o.Level)); err != nil {
			return err
		}
	}
	switch {
	case o.MaxSize < 0:
		return &stage.UsageError{Reason: fmt.Sprintf("a limit of %d bytes is none", o.MaxSize)}
	case o.Jobs < 0 || o.Jobs > write.MaxWorkers:
		return &stage.UsageError{Reason: fmt.Sprintf("at most %d files are checked at the same time", write.MaxWorkers)}
	}
	return cmp.Or(o.Source.Validate(), o.Guest.Validate())
}

// meter counts what a check of files reads.
func (o *CheckOptions) meter(inputs []source.Input) *stage.Meter {
	total := int64(0)
	for _, in := range inputs {
		if o.Level == CheckFull {
			total += in.Size()
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
	Path string `json:"path"`
	Size int64  `json:"size"`
	// Transferred is how many bytes of a file behind a URL came over the network; absent
	// of others.
	Transferred int64  `json:"transferred,omitempty"`
	Format      string `json:"format,omitempty"`
	// Description is the container in words.
	Description string `json:"description,omitempty"`
	// State is what a file says of itself as the state of a machine; nil if nothing.
	State *report.State `json:"state,omitempty"`
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
	// Signature is the same for equal crashes; absent if the guest did not crash, or only
	// the header was looked at.
	Signature *report.Signature `json:"signature,omitempty"`
	Dump      *DumpReport       `json:"dump,omitempty"`
	// Output is what a conversion would write.
	Output   *report.Output    `json:"output,omitempty"`
	Findings []finding.Finding `json:"findings"`
	Error    *report.Error     `json:"error,omitempty"`

	// Details is what [Info] says of the file, with all its lists; nil if it was not
	// asked for, or where nothing was found. It is no part of the document.
	Details *InfoReport `json:"-"`
	// Err is why the check ended early: an error of open.File, a
	// [*finding.RefusedError], or of reading.
	Err error `json:"-"`
}

// The kinds of files.
const (
	kindCore = "core"
	kindDump = "dump"
)

// Check checks files, a few at a time; the report has them in their order. What went
// wrong with a file is in its entry. The error is a [*stage.UsageError].
func Check(ctx context.Context, opt CheckOptions, inputs ...source.Input) (*CheckReport, error) {
	if opt.Level == "" {
		opt.Level = CheckQuick
	}
	r := &CheckReport{Level: opt.Level, MaxSize: opt.MaxSize, Files: make([]FileCheck, len(inputs))}
	if err := opt.Validate(); err != nil {
		return r, err
	}
	m := opt.meter(inputs)
	opt.Source.Count, opt.Source.Progress, opt.Guest.Progress = m, nil, nil
	opt.Source.MaxUnpacked = opt.MaxSize
	var group errgroup.Group
	group.SetLimit(cmp.Or(opt.Jobs, DefaultCheckJobs))
	for i, in := range inputs {
		group.Go(func() error {
			r.Files[i] = *checkOne(ctx, in, &opt)
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
	m.Finish()
	r.count()
	return r, nil
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
	in    source.Input
	opt   *CheckOptions
	open  source.Options // of this file
	guest guest.Options
	src   *source.Source
	// stage is the one that runs, for errors that do not say.
	stage stage.Stage
	finding.List
}

// checkOne checks one file. The result is never nil.
func checkOne(ctx context.Context, in source.Input, opt *CheckOptions) *FileCheck {
	c := &fileChecker{FileCheck: &FileCheck{Path: in.Path(), Findings: []finding.Finding{}}, in: in, opt: opt, stage: stage.Open}
	c.open, c.guest = opt.Source, opt.Guest
	if opt.Whole != nil {
		tell := func(w stage.Whole) { opt.Whole(in.Path(), w) }
		c.open.Whole, c.guest.Whole = tell, tell
	}
	ctx, stop := c.open.Begin(ctx)
	defer stop()
	c.Err = in.Named(c.run(ctx, in))
	switch over := c.open.Over(); {
	case over != nil:
		c.takeBack(nil)
		c.Add(finding.LookEnded.At("", "%s", over.Error()))
	case cutShort(c.Err):
		c.takeBack(c.Err)
	}
	c.finish()
	return c.FileCheck
}

// takeBack leaves of what was found what is not otherwise for a look that was cut short.
// The size needs no reading. The error is that of the check from now on.
func (c *fileChecker) takeBack(err error) {
	*c.FileCheck = FileCheck{Path: c.Path, Size: c.Size, Transferred: c.Transferred, Format: c.Format, Kind: c.Kind, Findings: []finding.Finding{}, Err: err}
	c.All = nil
	if c.Kind == kindDump {
		judge.TooLarge(&c.List, c.Size, c.opt.MaxSize, "the dump")
	}
}

// run opens the file for the check of its kind.
func (c *fileChecker) run(ctx context.Context, in source.Input) (err error) {
	c.Size = in.Size()
	c.open.Closing = func(s *source.Source) { c.Transferred = s.Transferred() }
	if c.src, err = source.Open(ctx, in, c.open); err != nil {
		// No file that can be read at any offset, one that is cut, or a packed one without
		// memory.
		return judge.NotOpened(&c.List, err)
	}
	defer func() {
		if f, ok := c.src.Changed(); ok {
			c.Add(f)
		}
		err = errors.Join(err, c.src.Close())
	}()
	if c.Size = c.src.File().Size(); in.IsURL() && c.opt.Level == CheckFull {
		c.opt.Source.Count.Grow(c.Size) // which is not known before
	}
	err = c.src.Blame(c.check(ctx))
	if err == nil && c.opt.Level == CheckFull {
		c.stage = stage.Read
		stage.Foretell(c.open.Whole, stage.Read, c.Size)
		if err = c.readMemory(ctx); err == nil {
			c.SHA256, err = hashFile(ctx, c.opt.Source.Count.Reader(c.src.File()), c.Size)
			err = c.src.Blame(err)
		}
	}
	return err
}

// check decides of what kind the file is: a dump is judged, of another it is asked
// whether it converts. One that is said to be of another format is no dump.
func (c *fileChecker) check(ctx context.Context) error {
	if f := c.src.Options().Format; f != "" && f != physmem.FormatDMP {
		return c.checkCore(ctx)
	}
	isDump, err := judge.IsDump(c.src, c.opt.Guest.Machines...)
	if err == nil && !isDump {
		return c.checkCore(ctx)
	}
	if broken := c.src.Wait(); broken != nil {
		return judge.NotOpened(&c.List, broken)
	}
	if err != nil {
		return err
	}
	return c.checkDump(ctx)
}

// checkDump says whether debuggers open a dump. What the user says of the guest no
// debugger is told: whether it can be right is asked beside that.
func (c *fileChecker) checkDump(ctx context.Context) error {
	c.Kind, c.stage, c.Format = kindDump, stage.Header, string(physmem.FormatDMP)
	v, err := judge.Dump(ctx, c.src, judge.Options{
		HeaderOnly: c.opt.Level == CheckHeader, MaxSize: c.opt.MaxSize, Size: c.Size,
		Input: c.src.Options(), Machines: c.opt.Guest.Machines,
	})
	c.All = append(c.All, v.Findings...)
	c.Description = v.Description
	if v.Guest != nil {
		c.System, c.Bug = identity.System(v.Guest), identity.BugCheck(v.Guest)
		c.Signature = signatureOf(v.Guest)
	}
	if v.Header != nil {
		c.Dump = dumpReport(v.Header)
	}
	if g := headerOnly(err, machine.OrAll(c.opt.Guest.Machines)); g != nil {
		c.System, c.Bug = identity.System(g), identity.BugCheck(g)
	}
	if v.Image != nil && v.Image.ReadFailure() != nil {
		c.Signature = nil // of which nothing is certain
	}
	c.detailDump(ctx, v, err)
	if v.Triage != nil && err == nil && c.opt.Level != CheckHeader {
		var wrong *finding.RefusedError
		if errors.As(v.Triage.Contradicts(&c.guest), &wrong) {
			c.Add(wrong.Finding)
			return wrong
		}
	}
	if err != nil || v.Image == nil || c.opt.Level == CheckHeader || !c.opt.Guest.Given() {
		return err
	}
	g, err := guest.Find(ctx, v.Image, c.guest)
	for _, f := range g.Findings() {
		if f.ID == finding.GivenWrong.ID() {
			c.Add(f)
		}
	}
	return err
}

// checkCore says whether a file converts, and to what.
func (c *fileChecker) checkCore(ctx context.Context) error {
	im, err := c.src.Image(ctx)
	if err != nil {
		return judge.NotOpened(&c.List, err)
	}
	x := report.OfImage(c.Path, im)
	c.Kind, c.Format, c.Description, c.State = kindCore, x.Format, x.Description, x.State
	err = c.BlameDisk(im, c.checkImage(ctx, im))
	if im.ReadFailure() != nil {
		c.Signature, c.Output = nil, nil // of which nothing is certain
	}
	return finding.NameDamage(im, err)
}

// checkImage looks for the guest, plans its dump, and judges that as a conversion does.
func (c *fileChecker) checkImage(ctx context.Context, im *physmem.Image) error {
	if c.opt.Level == CheckHeader {
		c.stage = stage.Header
		g, err := guest.FindHeader(im, c.guest)
		c.adopt(g)
		return err
	}
	g, err := guest.Find(ctx, im, c.guest)
	c.adopt(g)
	if err != nil {
		c.detail(g, nil)
		return err
	}
	p, err := plan.New(ctx, g, plan.Options{})
	c.detail(g, p)
	c.All = append(c.All, p.Findings()...)
	c.Signature = p.Signature()
	if p.Size() > 0 {
		c.Output = planned(p)
		judge.TooLarge(&c.List, p.Size(), c.opt.MaxSize, "the dump made of it")
	}
	if err != nil {
		return err
	}
	v, err := judge.Plan(ctx, p)
	c.All = append(c.All, v.Warnings(c.All)...)
	return err
}

// planned is what a conversion with default options would write.
func planned(p *plan.Plan) *report.Output {
	r := report.New("", "", true)
	r.Guest = &report.Guest{}
	plan.Describe(r, p)
	return &r.Output
}

// adopt takes over what an examination found.
func (c *fileChecker) adopt(g *guest.Guest) {
	c.All = append(c.All, g.Findings()...)
	c.System, c.Bug = identity.System(g), identity.BugCheck(g)
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
	if c.Verdict != "OK" {
		c.Reason = c.reason()
	}
}

// reason is the first finding with which the verdict is what it is, or the error by which
// it is: what could not be read is no reason, nor what was found before that.
func (c *fileChecker) reason() string {
	i := slices.IndexFunc(c.All, func(f finding.Finding) bool {
		return f.ID != finding.Undecided.ID() && finding.Verdict([]finding.Finding{f}) == c.Verdict
	})
	switch {
	case i >= 0:
		return c.All[i].Message
	case c.Err != nil:
		return cause.WithoutName(c.Error.Message, c.Path)
	default:
		return ""
	}
}
