package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// Download writes all of the file to w, in one transfer: of a server that sends no parts.
// It returns how many bytes there were. What breaks off after its first byte is an error,
// and is not tried again: the transfer would begin anew. The error is a
// [*physmem.SourceError], that of w, or the cause of the context.
func Download(ctx context.Context, rawURL string, opt Options, w io.Writer) (int64, error) {
	s, err := newSource(ctx, rawURL, opt)
	if err != nil {
		return 0, err
	}
	defer s.Close() //nolint:errcheck // only read
	var n int64
	var written error
	err = s.retry(s.round.Load(), func(t *try) (int64, error) {
		resp, err := s.request(t.ctx, "")
		if err != nil {
			return 0, err
		}
		body := &watched{resp.Body, t}
		defer discard(body)
		if resp.StatusCode != http.StatusOK {
			return 0, s.statusOf(resp)
		}
		out := &keepsError{w: w}
		n, err = io.Copy(out, body)
		written = out.err
		if n == 0 && err != nil && written == nil {
			return 0, errBreaksOff // and nothing of it is written
		}
		if err != nil && written == nil || resp.ContentLength >= 0 && n < resp.ContentLength {
			return 0, brokeOff(t.ctx, n, err)
		}
		return 0, nil
	})
	if written != nil {
		err = written
	}
	return n, err
}

// brokeOff is the error of a transfer of which n bytes came, and then err, or nothing. The
// context is that of the try.
func brokeOff(ctx context.Context, n int64, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		err = errStalled
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = nil
	}
	return &BrokenError{Err: err, Bytes: n}
}

// keepsError is a writer that keeps its error, to tell it from that of reading.
type keepsError struct {
	w   io.Writer
	err error
}

func (k *keepsError) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	k.err = err
	return n, err
}
