package plan

import (
	"context"
	"io"

	"windmp/internal/pack"
)

// writePacked streams the dump through a packer into w. name is the output's,
// of which a zip takes the dump's name.
func (p *Plan) writePacked(ctx context.Context, w io.Writer, name string, opt WriteOptions) error {
	packer, err := pack.NewWriter(w, name)
	if err != nil {
		return err
	}
	err = p.stream(ctx, packer, opt)
	// After an error Close ends the packer's goroutines, and says it once more.
	if cerr := packer.Close(); err == nil {
		err = cerr
	}
	return err
}
