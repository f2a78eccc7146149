package folder

import (
	"cmp"
	"encoding/json"

	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
)

// Options steer what the files hold, as those of a conversion do.
type Options struct {
	Source source.Options
	Guest  guest.Options
	// Plan is for all files, as far as it makes sense for each: the type and the
	// container are those that the file's name says.
	Plan plan.Options
	// Progress, when set, is called from one goroutine at a time while the folder is
	// opened. It stands for those of the parts.
	Progress func(stage.Progress)
	// Document writes the report; nil stands for plain JSON.
	Document func(*report.Folder) ([]byte, error)
	// Failed, when set, is called for the first read of each file that fails, from any
	// goroutine.
	Failed func(file string, err error)
}

// Validate returns a [*stage.UsageError] if the options make no sense for any source.
func (o *Options) Validate() error {
	for i := range kinds {
		if err := kinds[i].options(o.Plan).Validate(); err != nil {
			return err
		}
	}
	return cmp.Or(o.Source.Validate(), o.Guest.Validate())
}

// document is the report's file.
func (o *Options) document(r *report.Folder) ([]byte, error) {
	if o.Document != nil {
		return o.Document(r)
	}
	return json.MarshalIndent(r, "", "  ")
}

// kind is a dump of the folder.
type kind struct {
	name string
	typ  plan.OutputType
	to   plan.OutputFormat
	// early are planned when the folder is opened: that takes the reads that finding
	// the guest takes, and no more.
	early bool
}

// kinds are the dumps, in the order in which they are listed.
var kinds = []kind{
	{name: "memory.dmp", typ: plan.OutputAuto, to: plan.FormatDMP, early: true},
	{name: "kernel.dmp", typ: plan.OutputKernel, to: plan.FormatDMP},
	{name: "triage.dmp", typ: plan.OutputTriage, to: plan.FormatDMP},
	{name: "memory.vmcore", typ: plan.OutputAuto, to: plan.FormatELF, early: true},
}

// reportName is the file that says what the others are.
const reportName = "report.json"

// options are those of the plan for a kind: what makes no sense for it stays out.
func (k *kind) options(shared plan.Options) plan.Options {
	shared.Type, shared.To = k.typ, k.to
	if k.typ != plan.OutputKernel && k.typ != plan.OutputTriage {
		shared.KeepProcesses = nil
	}
	if k.typ != plan.OutputTriage {
		shared.Size = 0
	}
	if shared.Missing == report.MissingZero && (k.typ == plan.OutputTriage || k.to == plan.FormatELF) {
		shared.Missing = report.MissingFail // these hold what the source holds
	}
	return shared
}
