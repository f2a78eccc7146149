package remote

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"windmp/internal/binio"
)

// A NoRangesError says that a server sends a file only whole.
type NoRangesError struct {
	Size int64 // bytes of the file, as the server says; -1 if it does not
}

func (e *NoRangesError) Error() string {
	return "the server sends no parts of the file, only all of it"
}

// A ChangedError says that the file on the server is not the one any more that was opened.
type ChangedError struct{}

func (e *ChangedError) Error() string {
	return "the file on the server was changed while it was read"
}

// A ProtocolError is an answer that makes no sense.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return "the server can't be understood: " + e.Reason }

// A BrokenError says that a transfer broke off that can't be taken up again.
type BrokenError struct {
	Err   error // of reading, nil where the server ended the answer too early
	Bytes int64 // of the file that had come
}

func (e *BrokenError) Error() string {
	s := "the transfer broke off after " + binio.Bytes(e.Bytes)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the error of reading.
func (e *BrokenError) Unwrap() error { return e.Err }

// A GivenUpError says that what may pass did not: that a request was made again, and in
// vain.
type GivenUpError struct {
	Err      error // of the last attempt
	Attempts int   // that brought nothing, or next to nothing
	Took     time.Duration
}

func (e *GivenUpError) Error() string {
	if e.Attempts < 2 {
		return e.Err.Error()
	}
	s := e.Err.Error() + "; tried " + binio.Plural(e.Attempts, "time")
	if e.Took >= time.Second {
		s += " in " + binio.Span(e.Took.Seconds())
	}
	return s
}

// Unwrap returns the last attempt's.
func (e *GivenUpError) Unwrap() error { return e.Err }

// A statusError is an answer that refuses.
type statusError struct {
	Code int // the status, 403
	// Reason is what an object store says beside it, "AccessDenied: Request has expired";
	// may be empty.
	Reason string
	// Expired is set where it is because the URL was valid for some time only; At is when
	// that ended, zero if it is not known.
	Expired bool
	At      time.Time
	after   time.Duration // as the server asks for
}

func (e *statusError) Error() string {
	if e.Expired {
		when := ""
		if !e.At.IsZero() {
			when = " at " + binio.Moment(e.At)
		}
		return "the presigned URL expired" + when + "; make a new one that is valid for longer"
	}
	s := fmt.Sprintf("the server answers %d %s", e.Code, http.StatusText(e.Code))
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	switch e.Code {
	case http.StatusUnauthorized, http.StatusForbidden:
		s += "; it wants other credentials"
	case http.StatusNotFound, http.StatusGone:
		s += "; there is no such file"
	}
	return s
}

// hidden reports whether the server shows the file to others only, or to nobody: object
// stores do not say which.
func (e *statusError) hidden() bool {
	return e.Code == http.StatusForbidden || e.Code == http.StatusUnauthorized
}

// A movedError is that of a place that the URL redirected to before.
type movedError struct{ err error }

func (e *movedError) Error() string { return e.err.Error() }
func (e *movedError) Unwrap() error { return e.err }

// Bounds of what is read of an answer that refuses, and of what is repeated of it; bytes.
const (
	mostRefusal = 8 << 10
	mostSaid    = 160
)

// statusOf makes an error of an answer. Of the text in it only what object stores say in
// their own fields is repeated.
func (s *Source) statusOf(resp *http.Response) *statusError {
	e := &statusError{Code: resp.StatusCode}
	if n, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16); err == nil {
		e.after = time.Duration(n) * time.Second
	}
	var said struct{ Code, Message string }
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostRefusal))
	if err == nil && xml.Unmarshal(body, &said) == nil && said.Code != "" {
		e.Reason = s.scrub(cut(said.Code))
		if said.Message != "" {
			e.Reason += ": " + s.scrub(cut(strings.TrimSpace(said.Message)))
		}
	}
	switch e.Code {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		end, known := expiry(s.url.Query())
		if known && time.Now().After(end) || strings.Contains(strings.ToLower(e.Reason), "expired") {
			e.Expired, e.At = true, end
		}
	}
	return e
}

// cut is a server's text without control characters, and not too long.
func cut(text string) string {
	text = strings.Map(func(r rune) rune {
		if !strconv.IsGraphic(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > mostSaid {
		text = text[:mostSaid] + "…"
	}
	return strings.ToValidUTF8(text, "")
}

// withoutSecrets is what the client says without the URL, and with nothing of what is
// secret.
func (s *Source) withoutSecrets(err error) error {
	for {
		var e *url.Error
		if !errors.As(err, &e) {
			break
		}
		err = e.Err
	}
	if text := s.scrub(err.Error()); text != err.Error() {
		return errors.New(text)
	}
	return err
}
