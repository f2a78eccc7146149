package convert

import (
	"cmp"

	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
)

// Options steer a conversion, by what they are about.
type Options struct {
	Source source.Options
	Guest  guest.Options
	Plan   plan.Options
	Write  write.Options
	// DryRun stops after the plan: nothing is created.
	DryRun bool
	// SHA256 puts the digest of what was written into the report; it is taken in the
	// copy, whose Sum it is, and reads nothing again. A small dump and a stream have it always.
	SHA256 bool
	// Examined, when set, is called with the guest, as far as it was found, and what is
	// planned, nil without a guest, before anything is written: for who tells more of
	// them than the report does. The last call counts: with nil for both where the source
	// failed, and the report takes back what was found. The guest's image is closed when
	// the conversion ends.
	Examined func(*guest.Guest, *plan.Plan)
	// Progress, when set, is called from one goroutine at a time: when a stage
	// begins, where it counts bytes about ten times a second, and at its end. It
	// stands for those of the parts.
	Progress func(stage.Progress)
}

// Validate returns a [*stage.UsageError] if the options make no sense for any source.
func (o *Options) Validate() error {
	return cmp.Or(o.Source.Validate(), o.Guest.Validate(), o.Plan.Validate(), o.Write.Validate())
}

// examined tells whoever asked for it.
func (o *Options) examined(g *guest.Guest, p *plan.Plan) {
	if o.Examined != nil {
		o.Examined(g, p)
	}
}
