package sourceflag

import (
	"github.com/spf13/pflag"

	"windmp/convert/guest"
	"windmp/convert/source"
)

// Look are the flags of the commands that only look: what the file does
// not say of itself.
type Look struct {
	Input Input
	Guest Guest
	// Limits are for the commands that register them.
	Limits Limits
}

// Register adds the flags but for the limits.
func (f *Look) Register(fs *pflag.FlagSet) {
	f.Input.Register(fs)
	f.Guest.Register(fs)
}

// Options turns the flags into options; the error is a *stage.UsageError.
func (f *Look) Options() (source.Options, guest.Options, error) {
	from, err := f.Input.Options()
	if err != nil {
		return source.Options{}, guest.Options{}, err
	}
	from.Limits, err = f.Limits.limits()
	return from, f.Guest.Options(), err
}
