package convert

import (
	"errors"

	"windmp/physmem"
)

// blameDisk makes of a refusal an error of reading, if a read of the image failed
// before: what could not be read says nothing about the guest. The findings that
// refused become unknown.
func (fs *findings) blameDisk(im *physmem.Image, err error) error {
	failure := im.ReadFailure()
	var refused *RefusedError
	if failure == nil || err != nil && !errors.As(err, &refused) {
		return err
	}
	for i := range fs.list {
		if fs.list[i].Severity == SeverityFail {
			fs.list[i].Severity = SeverityUnknown
		}
	}
	return failure
}

// readable is an error when a read of the source has failed: the plan may rest on
// what another try would find.
func (p *Plan) readable() error {
	if err := p.Guest.Image.ReadFailure(); err != nil {
		return &StageError{Stage: StagePlan, Err: err}
	}
	return nil
}
