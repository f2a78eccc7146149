package convert

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"windmp/convert/cause"
	"windmp/convert/dump"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/physmem"
	"windmp/winhdr"
)

// checkOutput refuses, before any work, an output that must not be written. The error is a
// [*stage.Error].
func checkOutput(ctx context.Context, in, out string, opt *Options) error {
	err := write.Check(in, out, opt.Write.Force)
	if err == nil {
		err = checkNames(ctx, in, out, opt)
	}
	if _, missing := os.Stat(in); err != nil && in != "" && errors.Is(missing, fs.ErrNotExist) {
		return &stage.Error{Stage: stage.Open, Err: missing} // the two may be interchanged: nothing leads to --force
	}
	return err
}

// checkNames refuses a name of another kind of file, and to replace what is of another kind.
func checkNames(ctx context.Context, in, out string, opt *Options) error {
	err := checkName(out, opt.Plan.To)
	if err == nil {
		err = checkReplaced(ctx, in, out, opt)
	}
	if err != nil {
		return &stage.Error{Stage: stage.Output, Err: err}
	}
	return nil
}

// endings are what the names of memory images end in, by what an output must be to have
// such a name; empty for what is not written.
var endings = map[string]plan.OutputFormat{
	".dmp": plan.FormatDMP, ".mdmp": plan.FormatDMP,
	".elf": plan.FormatELF, ".vmcore": plan.FormatELF, ".core": plan.FormatELF,
	".kdump": "", ".lime": "", ".qcow2": "", ".raw": "", ".save": "", ".vmem": "", ".vmrs": "", ".vmsn": "", ".vmss": "",
}

// packings are the endings behind those, of outputs that are packed.
var packings = []string{".zst", ".gz", ".zip"}

// checkName refuses a name that promises what the output is not.
func checkName(out string, to plan.OutputFormat) error {
	bare := strings.ToLower(filepath.Base(out))
	if ext := filepath.Ext(bare); slices.Contains(packings, ext) {
		bare = strings.TrimSuffix(bare, ext)
	}
	ext := filepath.Ext(bare)
	promised, known := endings[ext]
	switch {
	case !known || promised == formatOf(to):
		return nil
	case promised == "":
		return &stage.UsageError{Reason: cause.Name(out) + " has the name of a file that is not written (" + ext + ")", Hint: "Name the output .dmp"}
	case promised == plan.FormatELF:
		return &stage.UsageError{Reason: cause.Name(out) + " has the name of an ELF core, the output is a crash dump", Hint: "Name the output .dmp, or choose the container elf."}
	default:
		return &stage.UsageError{Reason: cause.Name(out) + " has the name of a crash dump, the output is an ELF core", Hint: "Name the output .vmcore."}
	}
}

// formatOf is the container that is written.
func formatOf(to plan.OutputFormat) plan.OutputFormat {
	if to == "" {
		return plan.FormatDMP
	}
	return to
}

// checkReplaced refuses to replace a memory image that is no earlier output: who names
// two inputs means the second for an output seldom.
func checkReplaced(ctx context.Context, in, out string, opt *Options) error {
	if !opt.Write.Force || !regular(out) {
		return nil // there is nothing to replace; the rest is said elsewhere
	}
	is, beginning := source.Holds(ctx, out)
	if is == "" {
		return nil
	}
	var why string
	if formatOf(opt.Plan.To) == plan.FormatELF {
		why = noEarlierELF(is, beginning)
	} else {
		why = noEarlierDump(ctx, in, is, beginning, opt.Plan.Type)
	}
	if why == "" {
		return nil
	}
	return notReplaced(out, why)
}

// regular tells whether a file is there, and none that only looks like one.
func regular(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// notReplaced is the error of an output that is kept.
func notReplaced(out, why string) error {
	return &stage.UsageError{
		Reason: fmt.Sprintf("%s is %s, and is not replaced", cause.Name(out), why),
		Hint:   "Name another output, or remove that file first.",
	}
}

// noEarlierELF says what a memory image is that is no earlier output in ELF; empty for
// one that may be. A core is what most sources are, so that it must be laid out as one
// that was written here.
func noEarlierELF(is physmem.Format, beginning []byte) string {
	if is == physmem.FormatELF && dump.WroteELF(beginning) {
		return ""
	}
	return otherImage(is)
}

// noEarlierDump says what a memory image is that is no earlier dump of that type made
// from in; empty for one that may be. A small dump and one of memory do not replace each
// other. Where the input is a dump itself, an earlier output is one of the same kernel in
// memory: any other is as good an input. Of which moment it has to be is known when the
// output is planned: see [checkPlanned].
func noEarlierDump(ctx context.Context, in string, is physmem.Format, beginning []byte, to plan.OutputType) string {
	there, err := winhdr.Decode(beginning)
	small := to == plan.OutputTriage
	switch {
	case is != physmem.FormatDMP || err != nil:
		return otherImage(is)
	case small && there.DumpType != winhdr.DumpTypeTriage:
		return "a dump of memory, and the output a small one"
	case !small && there.DumpType == winhdr.DumpTypeTriage:
		return "a small dump, and the output one of memory"
	}
	_, beginning = source.Holds(ctx, in)
	if own, err := winhdr.Decode(beginning); err == nil && !ofOneKernel(own, there) {
		return "a dump of another machine than the input, not an earlier output"
	}
	return ""
}

// checkPlanned refuses an output that must not be written now that it is planned. The
// error is a [*stage.Error].
func checkPlanned(ctx context.Context, in, out string, p *plan.Plan) error {
	err := checkBeside(in, out, p.Guest().Image())
	if err == nil {
		err = checkMoment(ctx, in, out, p)
	}
	if err != nil {
		return &stage.Error{Stage: stage.Output, Err: err}
	}
	return nil
}

// checkMoment refuses to replace a dump by one of another moment of the same machine,
// where the input is a dump too. The header of the input does not tell: one that a driver
// wrote at its start has that time, and the output that of the memory.
func checkMoment(ctx context.Context, in, out string, p *plan.Plan) error {
	if !regular(out) {
		return nil
	}
	_, beginning := source.Holds(ctx, in)
	if _, err := winhdr.Decode(beginning); err != nil {
		return nil //nolint:nilerr // the input is no dump
	}
	_, beginning = source.Holds(ctx, out)
	there, err := winhdr.Decode(beginning)
	if err != nil || ofOneMoment(p.Header(), there) {
		return nil //nolint:nilerr // there is none
	}
	return notReplaced(out, "a dump of another moment than the input, not an earlier output")
}

func otherImage(is physmem.Format) string {
	return fmt.Sprintf("a memory image (%s), not an earlier output", is)
}

// ofOneKernel tells whether two headers are of the same kernel in memory. A conversion
// fills in what a header lacks, so that one of the kernel's addresses is enough.
func ofOneKernel(a, b *winhdr.Header) bool {
	return a.MachineImageType == b.MachineImageType &&
		(a.PsLoadedModuleList == b.PsLoadedModuleList || a.KdDebuggerDataBlock == b.KdDebuggerDataBlock)
}

// ofOneMoment tells whether the headers of two outputs are of the same time, as far as
// both have one.
func ofOneMoment(a, b *winhdr.Header) bool {
	_, unsetA := winhdr.Time(a.SystemTime)
	_, unsetB := winhdr.Time(b.SystemTime)
	return unsetA != nil || unsetB != nil || a.SystemTime == b.SystemTime
}

// checkBeside refuses to replace the file beside the input that has its memory.
func checkBeside(in, out string, im *physmem.Image) error {
	name := im.MemoryFile()
	if name == "" || in == "" {
		return nil
	}
	memory, err := os.Stat(filepath.Join(filepath.Dir(in), filepath.Base(name)))
	if err != nil {
		return nil //nolint:nilerr // not on this disk
	}
	if target, err := os.Stat(out); err == nil && os.SameFile(memory, target) {
		return &stage.UsageError{Reason: cause.Name(out) + " has the memory of the input, and is not replaced", Hint: "Name another output"}
	}
	return nil
}
