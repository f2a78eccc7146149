package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// probeSize is what the first request asks for, in bytes: what tells a file's format, and
// most tables of contents.
const probeSize = 8 * blockSize

// probe asks for the beginning of the file, and learns its size from the answer: a
// presigned URL allows no other method.
func (s *Source) probe() error {
	err := s.retry(s.round.Load(), func(t *try) (int64, error) {
		resp, err := s.ask(t, 0, probeSize)
		if err != nil {
			return 0, err
		}
		defer discard(resp.Body)
		if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && resp.Header.Get("Content-Range") == "bytes */0" {
			s.object, s.opened = objectOf(resp, 0), true
			return 0, nil
		}
		if resp.StatusCode == http.StatusOK {
			return 0, &NoRangesError{Size: resp.ContentLength}
		}
		r, err := s.rangeOf(resp, 0)
		if err != nil {
			return 0, err
		}
		s.object, s.opened = objectOf(resp, r.size), true
		_, missing := s.cache.take(0, (min(r.size, r.last+1)+blockSize-1)/blockSize)
		n, _, _ := s.receive(resp.Body, missing) // what is missing, the first read finds out
		for _, b := range missing[n:] {
			s.cache.finish(b, errBroken) // is asked for again when it is read
		}
		return 0, nil
	})
	var none *NoRangesError
	if errors.As(err, &none) {
		return none
	}
	return err
}

// errBroken is of a block whose transfer broke off, where it is not tried again.
var errBroken = errors.New("the transfer broke off")

// objectOf is what an answer says of the file.
func objectOf(resp *http.Response, size int64) object {
	return object{size: size, etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified")}
}

// fill fetches blocks that follow each other, by one request, or more where a transfer
// breaks off.
func (s *Source) fill(blocks []*block) {
	round := s.round.Load()
	if e := round.failure.Load(); e != nil {
		s.give(blocks, e)
		return
	}
	err := s.retry(round, func(t *try) (int64, error) {
		first := blocks[0].index*blockSize + int64(len(blocks[0].data))
		end := min((blocks[len(blocks)-1].index+1)*blockSize, s.object.size)
		resp, err := s.ask(t, first, end-first)
		if err != nil {
			return 0, err
		}
		defer discard(resp.Body)
		if err := s.same(resp, first); err != nil {
			return 0, err
		}
		n, brought, err := s.receive(resp.Body, blocks)
		blocks = blocks[n:]
		if len(blocks) > 0 && err == nil {
			err = errBreaksOff // a server may send less than it was asked for
		}
		return brought, err
	})
	s.give(blocks, err)
}

// give tells those who wait for blocks that they do so in vain.
func (s *Source) give(blocks []*block, err error) {
	for _, b := range blocks {
		s.cache.finish(b, err)
	}
}

// receive reads blocks from an answer, and returns how many are whole and how many bytes
// came. The one in which the answer ends keeps what came of it.
func (s *Source) receive(body io.Reader, blocks []*block) (n int, brought int64, err error) {
	for _, b := range blocks {
		had, size := len(b.data), min(blockSize, s.object.size-b.index*blockSize)
		if had == 0 {
			b.data = make([]byte, 0, size)
		}
		got, err := io.ReadFull(body, b.data[had:size])
		b.data = b.data[:had+got]
		brought += int64(got)
		s.transferred.Add(int64(got))
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errBreaksOff
			}
			return n, brought, err
		}
		s.cache.finish(b, nil)
		n++
	}
	return n, brought, nil
}

// ask makes one request for n bytes at off. The answer is one of those that the caller
// must look at: with a range, with all of the file, or that there is no such range. The
// error of any other answer is a [*statusError].
func (s *Source) ask(t *try, off, n int64) (*http.Response, error) {
	resp, err := s.request(t.ctx, fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	if err != nil {
		return nil, err
	}
	resp.Body = &watched{resp.Body, t}
	switch resp.StatusCode {
	case http.StatusPartialContent, http.StatusOK, http.StatusRequestedRangeNotSatisfiable:
		if resp.StatusCode == http.StatusPartialContent && resp.Request.URL.String() != s.url.String() {
			s.place.Store(resp.Request.URL)
		}
		return resp, nil
	case http.StatusPreconditionFailed:
		discard(resp.Body)
		return nil, &ChangedError{}
	}
	err = s.statusOf(resp)
	discard(resp.Body)
	if s.place.Swap(nil) != nil {
		// Where it redirected to may be valid for a while only.
		return nil, &movedError{err}
	}
	return nil, err
}

// request sends a GET; bytes is the range that is asked for, empty for all of the file.
func (s *Source) request(ctx context.Context, bytes string) (*http.Response, error) {
	to := s.url
	if place := s.place.Load(); place != nil {
		to = place
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), http.NoBody)
	if err != nil {
		return nil, errors.New("the URL can't be asked for")
	}
	if sameOrigin(to, s.url) {
		for name, values := range s.opt.Header {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
		if host := s.opt.Header.Get("Host"); host != "" {
			req.Host = host
		}
	}
	req.Header.Set("User-Agent", "windmp")
	// What a file is packed with is part of it.
	req.Header.Set("Accept-Encoding", "identity")
	if bytes != "" {
		req.Header.Set("Range", bytes)
	}
	// Without a strong tag, what each answer says of the file tells whether it is the same.
	// If-Unmodified-Since would not do: there are stores that compare the second which
	// they said with the fraction of it that they know (versitygw 1.8.0).
	if etag := s.object.etag; etag != "" && !strings.HasPrefix(etag, "W/") {
		req.Header.Set("If-Match", etag)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, s.withoutSecrets(err)
	}
	return resp, nil
}

// contentRange is what an answer says of the bytes in it: from first to last, of size.
type contentRange struct{ first, last, size int64 }

// rangeOf reads the range of an answer, which begins at off (RFC 9110, 14.4).
func (s *Source) rangeOf(resp *http.Response, off int64) (contentRange, error) {
	text := resp.Header.Get("Content-Range")
	var r contentRange
	span, size, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	first, last, ok2 := strings.Cut(span, "-")
	ok = ok && ok2 && strings.HasPrefix(text, "bytes ")
	for _, f := range []struct {
		to   *int64
		text string
	}{{&r.first, first}, {&r.last, last}, {&r.size, size}} {
		n, err := strconv.ParseUint(f.text, 10, 63)
		ok = ok && err == nil
		*f.to = int64(n)
	}
	if !ok || r.first != off || r.last < r.first || r.last >= r.size || r.size > maxSize {
		return r, &ProtocolError{Reason: fmt.Sprintf("it answers a request for bytes from %d with the range %q", off, cut(text))}
	}
	return r, nil
}

// maxSize is that of the largest file that is believed, in bytes: 4 PiB.
const maxSize = 1 << 52

// same returns an error unless an answer has a range of the file that was opened, from
// off on.
func (s *Source) same(resp *http.Response, off int64) error {
	switch resp.StatusCode {
	case http.StatusOK:
		if etag := resp.Header.Get("ETag"); etag != s.object.etag {
			return &ChangedError{}
		}
		return &ProtocolError{Reason: "it sends all of the file where a part was asked for"}
	case http.StatusRequestedRangeNotSatisfiable:
		return &ChangedError{}
	}
	r, err := s.rangeOf(resp, off)
	if err != nil {
		return err
	}
	if objectOf(resp, r.size) != s.object {
		return &ChangedError{}
	}
	return nil
}

// mostDrained bounds what is read of a body that nobody wants, in bytes, so that its
// connection can be used again.
const mostDrained = 64 << 10

// discard closes a body.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, mostDrained) // whoever reads it next finds out
	_ = body.Close()
}

// maxRedirects is how often a URL may lead elsewhere, as in Go's client.
const maxRedirects = 10

// redirect is [http.Client].CheckRedirect: what is secret of a URL or in a header goes to
// the host that it is for, and nothing goes over a line in plain that was to be
// encrypted.
func (s *Source) redirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return &ProtocolError{Reason: "it redirects too often"}
	case via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https":
		return &ProtocolError{Reason: "it redirects from https to " + cut(req.URL.Scheme)}
	}
	req.Header.Del("Referer") // Go's has the query of the URL before
	if !sameOrigin(req.URL, s.url) {
		for name := range s.opt.Header {
			req.Header.Del(name)
		}
		req.Host = ""
	}
	return nil
}

// sameOrigin reports whether two URLs lead to one server.
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Host, b.Host)
}
