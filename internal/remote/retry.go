package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

const (
	// maxPause is the longest pause between two attempts, of our own.
	maxPause = 10 * time.Second
	// maxAsked is the longest that a server may ask for (Retry-After).
	maxAsked = time.Minute
)

// errStalled ends a transfer in which nothing comes.
var errStalled = errors.New("the server sends nothing")

// errBreaksOff ends an answer that is shorter than it should be.
var errBreaksOff = errors.New("the server's answer breaks off")

// retry makes tries until one has no error, or one that no other mends, or too many
// brought nothing, or those that brought next to nothing took too long. A try says how
// many bytes it brought. The error is one of [Source.fail].
func (s *Source) retry(of *round, f func(t *try) (brought int64, err error)) error {
	pause, vain := s.opt.Pause, inVain{since: time.Now()}
	for {
		begun := time.Now()
		brought, err := s.try(f)
		if err == nil {
			return nil
		}
		if brought > 0 {
			pause = s.opt.Pause
		}
		vain.note(brought, time.Since(begun))
		switch {
		case s.ctx.Err() != nil || !mends(err):
			return s.fail(of, err)
		case vain.empty >= s.attempts(err) || vain.took >= s.opt.Patience:
			return s.fail(of, vain.failure(err))
		}
		var moved *movedError
		if errors.As(err, &moved) {
			continue // at once, where the URL itself leads
		}
		if s.opt.Again != nil {
			s.opt.Again(err)
		}
		select {
		case <-time.After(max(jitter(pause), askedPause(err))):
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
		pause = min(2*pause, maxPause)
	}
}

// inVain counts the tries since one brought something.
type inVain struct {
	empty int           // that brought not a byte, one after the other
	tries int           // since a block's bytes came
	bytes int64         // that came in these
	took  time.Duration // that these took, without the pauses
	since time.Time     // when the first of them began
}

// note takes a try into account that ended with an error.
func (v *inVain) note(brought int64, took time.Duration) {
	if brought > 0 {
		v.empty = 0
	}
	v.empty++
	if v.bytes += brought; v.bytes >= blockSize {
		*v = inVain{empty: v.empty, tries: 1, since: time.Now()}
		return
	}
	v.tries++
	v.took += took
}

// failure is the error of the last try, with how many there were.
func (v *inVain) failure(err error) error {
	return &GivenUpError{Err: err, Attempts: v.tries, Took: time.Since(v.since)}
}

// attempts is how often a request is made that ends with err.
func (s *Source) attempts(err error) int {
	var dial *net.OpError
	if !s.opened && errors.As(err, &dial) && dial.Op == "dial" {
		return min(s.opt.Attempts, firstDials) // a wrong name or port, rather
	}
	return s.opt.Attempts
}

// firstDials is how often a connection is tried to a server that never answered.
const firstDials = 3

// A try is one attempt. Its context ends when the server sends nothing for too long.
type try struct {
	ctx   context.Context
	alarm *time.Timer
	stall time.Duration
}

// try makes one.
func (s *Source) try(f func(t *try) (int64, error)) (int64, error) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	t := &try{ctx: ctx, stall: s.opt.Stall}
	t.alarm = time.AfterFunc(t.stall, func() { cancel(errStalled) })
	defer t.alarm.Stop()
	brought, err := f(t)
	if err != nil && mends(err) && errors.Is(context.Cause(ctx), errStalled) {
		err = errStalled
	}
	return brought, err
}

// watched is a body that puts the alarm off with each byte that comes.
type watched struct {
	io.ReadCloser
	t *try
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.t.alarm.Reset(w.t.stall)
	}
	return n, err
}

// jitter is between half of d and d: many who were refused at the same time do not come
// again at the same time.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // no secret
}

// mends reports whether another attempt may have no such error.
func mends(err error) bool {
	var status *statusError
	var changed *ChangedError
	var protocol *ProtocolError
	var broken *BrokenError
	var none *NoRangesError
	var moved *movedError
	var certificate *tls.CertificateVerificationError
	var name *net.DNSError
	switch {
	case errors.As(err, &moved):
		return true
	case errors.As(err, &status):
		return status.Code >= http.StatusInternalServerError || status.Code == http.StatusTooManyRequests || status.Code == http.StatusRequestTimeout
	case errors.As(err, &changed), errors.As(err, &protocol), errors.As(err, &broken), errors.As(err, &none), errors.As(err, &certificate):
		return false
	case errors.As(err, &name):
		return !name.IsNotFound
	}
	return true
}

// askedPause is the pause that a server asks for, 0 if it does not.
func askedPause(err error) time.Duration {
	var status *statusError
	if !errors.As(err, &status) {
		return 0
	}
	return min(status.after, maxAsked)
}
