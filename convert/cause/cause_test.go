package cause_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/convert/cause"
	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/atomicfile"
	"windmp/internal/pack"
	"windmp/physmem"
)

func in(s stage.Stage, err error) error { return &stage.Error{Stage: s, Err: err} }

func of(path string, err error) error { return &stage.FileError{Path: path, Err: err} }

func refused(kind finding.Kind, message, detail string) error {
	return &finding.RefusedError{Finding: kind.At("VA 0x1000", "%s", message).Because(detail)}
}

// golden has each class of failure as a person reads it.
func golden() []struct {
	err  error
	said string
	hint string
} {
	const temp = ".out.dmp.123.windmp-part"
	open := func(op, path string, err error) error { return &fs.PathError{Op: op, Path: path, Err: err} }
	cut := &physmem.FormatError{Format: "elf", Offset: 0xc0, Field: "program headers", Got: "0x2 of 0x38 bytes", Hint: physmem.HintIncomplete, Cut: &physmem.Cut{Size: 3 << 20, Whole: 4 << 20}}
	const tooFull = "Free some of it, or name an output on another disk; with .zst behind its name it is packed."
	list := []struct {
		err  error
		said string
		hint string
	}{
		// Cut and damaged.
		{of("a.vmcore", in(stage.Open, cut)), "a.vmcore is cut: 1.0 of 4.0 MiB are missing", physmem.HintIncomplete},
		{in(stage.Unpack, of("a.gz", &physmem.FormatError{Format: "gzip", Field: pack.Data, Reason: "it ends too early", Hint: physmem.HintIncomplete, Cut: &physmem.Cut{Size: 15000}})), "a.gz is cut: it ends after 15 KiB", physmem.HintIncomplete},
		{in(stage.Unpack, of("a.gz", &physmem.FormatError{Format: "gzip", Field: pack.Data, Err: errors.New("invalid checksum"), Hint: physmem.HintDamaged})), "a.gz is damaged: packed data can't be unpacked (gzip)", physmem.HintDamaged},
		{of("a", in(stage.Open, &physmem.FormatError{Format: "elf", Field: "ELF header: e_phentsize", Got: "0x7", Want: "0x38"})), "a is damaged: ELF header can't be right (elf)", ""},
		{of("a", in(stage.Open, &physmem.FormatError{Format: "lime", Field: "ranges", Reason: "none has memory that the file holds"})), "a is damaged: ranges can't be used: none has memory that the file holds (lime)", ""},
		{of("a", in(stage.Read, &physmem.ReadError{Offset: 0x1000, Err: io.ErrUnexpectedEOF})), "a: the file became shorter while it was read", "Wait until it is complete, and try again."},
		{of("a", in(stage.Read, &physmem.ReadError{Offset: 0x1000, Damaged: true, Err: errors.New("zlib: 0x7")})), "a is damaged: a piece of its packed memory can't be unpacked", physmem.HintDamaged},
		{of("a", in(stage.Read, &physmem.ReadError{Offset: 0x1000, Err: open("read", "a", syscall.EIO)})), "a can't be read: input/output error", "The disk that it is on fails: take another copy, or accept a dump with gaps: zeros there, or the pages left out."},
		// Not a memory image, not a machine that is read, no Windows.
		{of("a", in(stage.Open, &physmem.UnknownFormatError{Looks: "text"})), "a is not a memory image: it looks like text", ""},
		{of("a", in(stage.Open, &physmem.UnknownFormatError{Looks: physmem.LooksEmpty, Hint: "the dump was not written"})), "a is empty", "The dump was not written."},
		{of("a", in(stage.Open, &physmem.UnknownFormatError{Tried: []physmem.Refusal{{Format: "elf", Reason: "no ELF header"}, {Format: "dmp", Reason: "no PAGE"}}})), "a is not a memory image that is known here", ""},
		{of("a", in(stage.Open, &physmem.UnknownFormatError{Tried: []physmem.Refusal{{Format: "dmp", Reason: "no PAGE"}}})), "a is not of the format dmp: no PAGE", ""},
		{in(stage.Open, &stage.FileError{Path: "a.gz", Unpacked: true, Err: &physmem.UnknownFormatError{Looks: "text"}}), "a.gz, unpacked, is not a memory image: it looks like text", ""},
		{of("a", in(stage.Open, &physmem.UnsupportedError{What: "a core of an AArch64 machine", Hint: "use the dump of an x64 one"})), "a is a core of an AArch64 machine", "Use the dump of an x64 one."},
		{of("a", in(stage.Kernel, refused(finding.NoKDBG.WithAdvice("Dump it again."), "no Windows kernel was found in the memory", "with 0x1000: level 4 entry 0x0"))), "a: no Windows kernel was found in the memory", "Dump it again."},
		{of("a", in(stage.Unpack, &pack.LimitError{Limit: 1 << 30})), "a: what is packed in it takes more than the limit of 1.0 GiB", "Allow more to be unpacked, or unpack the file first."},
		// Names and rights.
		{of("no", in(stage.Open, open("stat", "no", fs.ErrNotExist))), "no: there is no such file", ""},
		{of("my file", in(stage.Open, open("open", "my file", fs.ErrPermission))), `"my file" can't be read: permission denied`, "Run windmp as a user who may read it; what libvirt and Proxmox write belongs to root."},
		{in(stage.Output, &atomicfile.TargetError{Path: "out.dmp", Err: atomicfile.ErrExists}), "out.dmp exists", "Name another output, or force its replacement."},
		{in(stage.Output, &stage.UsageError{Reason: "the output out is a folder", Hint: "Name a file in it"}), "the output out is a folder", "Name a file in it."},
		{in(stage.Output, &atomicfile.FolderError{Dir: "no"}), "the folder no does not exist", "Make the folder first."},
		{in(stage.Output, open("open", temp, fs.ErrPermission)), "out.dmp can't be written: no permission to make files in this folder", "Name an output in a folder that is yours."},
		{in(stage.Report, open("open", temp, fs.ErrPermission)), "the report out.dmp can't be written: no permission to make files in this folder", "Name a report in a folder that is yours."},
		{in(stage.Write, open("write", temp, syscall.EFBIG)), "out.dmp can't be written: file too large", "The disk's format, or the limit of the shell (ulimit -f), allows no file of that size."},
		{in(stage.Output, &os.LinkError{Op: "rename", Old: temp, New: "out.dmp", Err: syscall.EIO}), "out.dmp can't be written: input/output error", ""},
		// Room.
		{in(stage.Output, of("out.dmp", &atomicfile.SpaceError{Dir: ".", Need: 3670016, Free: 1 << 20})), "out.dmp: it takes 3.5 MiB, and the disk of this folder has 1.0 MiB free", tooFull},
		{in(stage.Unpack, of("a.gz", &atomicfile.SpaceError{Dir: "/t", Need: 256 << 20, Free: 1 << 20})), "a.gz: no room to unpack it: the folder for temporary files, /t, has 1.0 MiB free", "Set TMPDIR to a folder with room for what is packed in the file, or unpack it first."},
		// The rest.
		{in(stage.Write, open("write", os.Stdout.Name(), syscall.EPIPE)), "whoever read standard output stopped before its end", ""},
		{in(stage.Write, context.Canceled), "interrupted, nothing was left behind", ""},
		{&stage.UsageError{Reason: "--jobs takes 1 to 16"}, "--jobs takes 1 to 16", ""},
		{of("a", in(stage.Open, &physmem.OptionError{Option: "snapshot", Reason: "it has none"})), "a: it has none", ""},
		{of("a", in(stage.Plan, errors.New("something else"))), "a: something else", ""},
	}
	if runtime.GOOS == "linux" {
		list = append(list, []struct {
			err  error
			said string
			hint string
		}{
			{in(stage.Write, open("write", temp, syscall.ENOSPC)), "out.dmp: no space left on the disk of this folder", tooFull},
			{in(stage.Write, of("out.dmp", fmt.Errorf("at 0x0: %w", os.NewSyscallError("fallocate", syscall.ENOSPC)))), "out.dmp: no space left on the disk of this folder", tooFull},
			{in(stage.Unpack, of("a.gz", open("write", "/t/.unpacked.1.windmp-part", syscall.ENOSPC))), "a.gz: no room to unpack it: the folder for temporary files, /t, is full", "Set TMPDIR to a folder with room for what is packed in the file, or unpack it first."},
			{in(stage.Unpack, of("a.gz", open("open", "/t/.unpacked.1.windmp-part", fs.ErrPermission))), "a.gz: it can't be unpacked: the folder for temporary files, /t, may not be written to", "Set TMPDIR to a folder that is yours."},
			{in(stage.Output, open("open", "/ro/"+temp, syscall.EROFS)), "/ro/out.dmp can't be written: /ro is read-only", "Name an output in a folder that is yours."},
			{in(stage.Output, open("stat", "a/out.dmp", syscall.ENOTDIR)), "a/out.dmp can't be written: a is no folder", ""},
			{in(stage.Report, open("write", "/dev/full", syscall.ENOSPC)), "the report /dev/full: no space left on the device", ""},
			{in(stage.Report, open("write", "r.json", syscall.ENOSPC)), "the report r.json: no space left on the disk of this folder", "Free some of it, or name a report on another disk."},
			{in(stage.Write, open("write", ".out.dmp.gz.123.windmp-part", syscall.ENOSPC)), "out.dmp.gz: no space left on the disk of this folder", "Free some of it, or name an output on another disk."},
			{in(stage.Write, open("write", os.Stdout.Name(), syscall.ENOSPC)), "no space left where standard output goes", ""},
		}...)
	}
	return list
}

func TestOf(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("NOT RUN: the system has other words for its errors")
	}
	for _, tc := range golden() {
		got := cause.Of(tc.err)
		assert.Equal(t, tc.said, got.Sentence, "%v", tc.err)
		assert.Equal(t, tc.hint, got.Hint, "%v", tc.err)
		for _, never := range []string{"0x", "\n", "windmp-part", "open: open", "stat "} {
			assert.NotContains(t, got.Sentence+got.Hint, never)
		}
	}
	assert.Zero(t, cause.Of(nil))
}

// TestDetail: what the sentence leaves out is in the detail, once and in one line.
func TestDetail(t *testing.T) {
	t.Parallel()
	err := of("a", in(stage.Open, &physmem.FormatError{Format: "elf", Offset: 0x36, Field: "ELF header: e_phentsize", Got: "0x7", Want: "0x38", Hint: "Copy it."}))
	assert.Equal(t, "a: open: elf: ELF header: e_phentsize at file offset 0x36: got 0x7, want 0x38", cause.Of(err).Detail)
	err = of("a", refused(finding.NoKDBG, "no kernel", "with 0x1000: nothing"))
	assert.Equal(t, "a: no kernel (VA 0x1000): with 0x1000: nothing", cause.Of(err).Detail)
	assert.Empty(t, cause.Of(&stage.UsageError{Reason: "no"}).Detail)
}

// TestJoined: of several errors all are said, in one line.
func TestJoined(t *testing.T) {
	t.Parallel()
	report := in(stage.Report, &atomicfile.FolderError{Dir: "gone"})
	got := cause.Of(errors.Join(of("a", refused(finding.NoKDBG, "no kernel", "")), report))
	assert.Equal(t, "a: no kernel; also the folder gone does not exist", got.Sentence)
	assert.Equal(t, finding.NoKDBG.Advice(), got.Hint)
	assert.NotContains(t, got.Detail, "\n")
	got = cause.Of(in(stage.Output, of("out", errors.Join(errors.New("one"), fmt.Errorf("two: %w", errors.Join(errors.New("three"), errors.New("four")))))))
	assert.Equal(t, "out: one; also out: two: three; four", got.Sentence)
	got = cause.Of(errors.Join(report, report))
	assert.NotContains(t, got.Sentence, "also")
}

// A sentence that stands beside the file's name does not say it again.
func TestSentenceWithoutName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ sentence, path, want string }{
		{"a: there is no such file", "a", "there is no such file"},
		{"a is cut: it ends after 15 KiB", "a", "the file is cut: it ends after 15 KiB"},
		{`"a b": 4 KiB are missing`, "a b", "4 KiB are missing"},
		{"a.gz, unpacked, is empty", "a.gz", "the file, unpacked, is empty"},
		{"out.dmp exists", "a", "out.dmp exists"},
		{"a.dmp exists", "a", "a.dmp exists"},
	} {
		assert.Equal(t, tt.want, cause.WithoutName(tt.sentence, tt.path))
	}
}
