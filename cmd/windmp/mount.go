package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/heading"
	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/convert/folder"
	"windmp/convert/mount"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
)

// mountSchema names the JSON document in a mounted folder.
const mountSchema = "windmp/mount/v1"

// mountDocument is report.json.
type mountDocument struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	*report.Folder
}

// mountFlags are the flags of windmp mount.
type mountFlags struct {
	source            sourceflag.Look
	contexts, missing string
	size              string
	keep              []uint
	allowOther        bool
}

const mountLong = `Mount shows what FILE can be converted to as files in a folder, without writing
any of them: memory.dmp (all of the machine), kernel.dmp (kernel memory only),
triage.dmp (small: what crashed), memory.vmcore (an ELF core), and report.json,
which says what each holds, or why it is not there. They are read-only, and byte
for byte what windmp convert writes.

DIR is an empty folder. The files are there at once; kernel.dmp, triage.dmp and
report.json are made when somebody first looks at them, as ls -l does. Mount
runs until the folder is unmounted (umount DIR, fusermount3 -u DIR) or it is
interrupted (Ctrl-C, SIGTERM), and unmounts it then. It needs Linux with FUSE,
and fusermount3 for users other than root.`

func (a *app) mountCommand() *cobra.Command {
	f := &mountFlags{}
	cmd := &cobra.Command{
		Use:   "mount FILE DIR",
		Short: "Show the dumps of a file in a folder, without writing them",
		Long:  mountLong,
		Example: `  mkdir dumps && windmp mount guest.vmcore dumps &
  ls -l dumps
  umount dumps`,
		Args: usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runMount(cmd.Context(), args[0], args[1], f)
		},
	}
	fs := cmd.Flags()
	heading.Dump.Put(fs, func(fs *pflag.FlagSet) {
		fs.StringVar(&f.size, "size", "", "how large triage.dmp may be, such as 300KB (default 1MiB)")
		fs.UintSliceVar(&f.keep, "keep-process", nil, "ids of processes whose user memory is in kernel.dmp and triage.dmp")
		fs.StringVar(&f.contexts, "contexts", string(plan.ContextsAuto), "registers shown: auto (a live guest's vCPUs, a crashed one's saved contexts), vcpu, saved")
		fs.StringVar(&f.missing, "missing", string(report.MissingFail), "pages that FILE lacks: fail, zero, drop")
	})
	fs.BoolVar(&f.allowOther, "allow-other", false, "let other users read the files; users other than root may where /etc/fuse.conf has user_allow_other")
	f.source.Register(fs)
	a.out.registerProgress(fs)
	return cmd
}

// runMount mounts a folder until it is unmounted.
func (a *app) runMount(ctx context.Context, path, dir string, f *mountFlags) error {
	opt, err := f.options()
	if err == nil {
		err = refuseStdin(path)
	}
	if err == nil {
		err = mount.Check(dir, a.warn)
	}
	if err != nil {
		return err
	}
	opt.Progress = a.startProgress(false)
	opt.Source.Web.Again = a.tellAgain(false)
	opt.Source.Whole = toldFor(path, a.tellWhole(false))
	opt.Guest.Whole = opt.Source.Whole
	opt.Document = mountReport
	opt.Failed = func(name string, err error) {
		e := report.OfError(err)
		a.say(logLine{Level: levelWarn, Message: name + ": " + e.Message, Detail: e.Detail})
	}
	in := source.Named(path)
	return folder.With(ctx, in, opt, func(files *folder.Folder) error {
		a.progress.Clear()
		return mount.Serve(ctx, dir, files, mount.Options{
			Source: in.Path(), AllowOther: f.allowOther, ModTime: modTime(path), Say: a.warn,
			Mounted: func() { a.printMounted(in.Path(), dir, files) },
		})
	})
}

// options turns the flags into options.
func (f *mountFlags) options() (folder.Options, error) {
	var opt folder.Options
	var err error
	if opt.Source, opt.Guest, err = f.source.Options(); err != nil {
		return opt, err
	}
	if opt.Plan.Contexts, err = plan.ParseContextMode(f.contexts); err != nil {
		return opt, ofFlag(err)
	}
	if opt.Plan.Missing, err = plan.ParseMissingMode(f.missing); err != nil {
		return opt, ofFlag(err)
	}
	for _, pid := range f.keep {
		opt.Plan.KeepProcesses = append(opt.Plan.KeepProcesses, uint64(pid))
	}
	if f.size != "" {
		opt.Plan.Size, err = parseBudget(f.size)
	}
	return opt, err
}

// mountReport is the text of report.json.
func mountReport(r *report.Folder) ([]byte, error) {
	var b bytes.Buffer
	err := encode(&b, mountDocument{mountSchema, version(), r})
	return b.Bytes(), err
}

// modTime is when a file was written, the zero time where that is not known.
func modTime(path string) time.Time {
	st, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// warn prints what the user should know on standard error.
func (a *app) warn(message string) { a.say(logLine{Level: levelWarn, Message: message}) }

// printMounted says that the files are there.
func (a *app) printMounted(path, dir string, files *folder.Folder) {
	if a.logs() {
		a.say(logLine{Level: levelInfo, Message: fmt.Sprintf("%s is mounted on %s", path, dir)})
		return
	}
	t := newText(a.stdout)
	t.Key("mounted", "%s on %s", path, dir)
	for i, f := range files.Files() {
		if i == 0 {
			t.Key("files", "%s", f.Name())
			continue
		}
		t.More("%s", f.Name())
	}
	_ = a.print(t) // the files are there, whether somebody reads this or not
}
