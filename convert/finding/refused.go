package finding

import (
	"errors"
	"slices"
	"strings"

	"windmp/physmem"
)

// RefusedError says that the input can't become a dump worth opening. It holds
// the finding that decided it. The command line turns it into exit code 3, or
// 4 when Unsupported is set: the input is not a thing that windmp converts.
type RefusedError struct {
	Finding     Finding
	Unsupported bool
	// Err is the underlying error, nil when the finding says it all.
	Err error
}

func (e *RefusedError) Error() string {
	s := e.Finding.Message
	if e.Finding.Where != "" {
		s += " (" + e.Finding.Where + ")"
	}
	if e.Finding.Detail != "" {
		s += ": " + e.Finding.Detail
	}
	return s
}

// Unwrap gives the underlying error.
func (e *RefusedError) Unwrap() error { return e.Err }

// Refuse adds f, of a kind that fails, and returns it as an error; cause may be nil.
func (fs *List) Refuse(f Finding, cause error) *RefusedError {
	fs.Add(f)
	return &RefusedError{Finding: f, Err: cause}
}

// ofContainer begins the IDs of findings about a container; see [Finding].
const ofContainer = "WD1"

// BlameDisk makes of a refusal an error of reading, if a read of the image failed
// before: what could not be read says nothing about the guest. The findings that
// refused become those of [Undecided], which say so, and advise nothing; warnings of the
// guest go, since they may follow from that alone. Those of the container stay, whose own
// tables said so. An error that is no refusal is returned as it is.
func (fs *List) BlameDisk(im *physmem.Image, err error) error {
	failure := im.ReadFailure()
	var refused *RefusedError
	if failure == nil {
		return err
	}
	fs.All = slices.DeleteFunc(fs.All, func(f Finding) bool {
		return f.Severity == SeverityWarn && !strings.HasPrefix(f.ID, ofContainer)
	})
	for i := range fs.All {
		if f := &fs.All[i]; f.Severity == SeverityFail {
			*f = Undecided.At(f.Where, "does not count, as the file could not be read: %s", f.Message).Because(f.Detail)
		}
	}
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	return failure
}

// NameDamage names in a refusal, before all else, that the image's file is cut or
// damaged, or begins like another format's: whatever else is missing may be so for that.
// Other errors are returned as they are.
func NameDamage(im *physmem.Image, err error) error {
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	f := &refused.Finding
	for _, o := range im.Oddities() {
		if o.Kind == physmem.OddityForced && !strings.HasPrefix(f.Message, o.Text) {
			f.Message, f.Advice = o.Text+"; "+f.Message, adviceNoFormat
			return err
		}
		again := adviceCopyAgain
		switch o.Kind {
		case physmem.OddityTruncated, physmem.OddityDamaged:
		case physmem.OddityUnreadable:
			again = AdviceOtherCopy
		default:
			continue
		}
		if strings.HasPrefix(f.Message, o.Text) {
			return err // by a view of the same file
		}
		f.Message = o.Text + "; " + f.Message
		if gaps, ok := strings.CutPrefix(f.Advice, adviceWholeGuest); ok && o.Kind != physmem.OddityUnreadable {
			f.Advice = strings.TrimSuffix(adviceCopyAgain, ".") + ", " + gaps
		} else {
			f.Advice = again
		}
		return err
	}
	return err
}
