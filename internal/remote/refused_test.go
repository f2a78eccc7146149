package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/remote"
	"windmp/physmem"
)

// TestGivesUp: a server that only refuses is given up, once for all reads.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(1<<20))
	s.fault = func(w http.ResponseWriter, _ *http.Request, n int64) bool {
		if n > 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
		return n > 1
	}
	opt := quick
	opt.Attempts = 3
	src := open(t, s.URL, opt)
	_, err := src.ReadAt(make([]byte, 10), 500_000)
	var failed *physmem.SourceError
	require.ErrorAs(t, err, &failed)
	require.EqualError(t, err, "the server answers 502 Bad Gateway; tried 3 times")
	require.Equal(t, err, src.Failure())
	n := s.requests.Load()
	assert.EqualValues(t, 4, n)
	_, err = src.ReadAt(make([]byte, 10), 700_000)
	require.Equal(t, src.Failure(), err)
	assert.Equal(t, n, s.requests.Load())
}

// TestStallsAreFew: a server that sends nothing more, or some bytes each time and then
// nothing, is given up before many attempts have waited for it, and who asked is told
// that it is asked again.
func TestStallsAreFew(t *testing.T) {
	t.Parallel()
	for _, sent := range []int{0, 1000} {
		s := serve(t, contents(1<<20))
		s.fault = func(w http.ResponseWriter, r *http.Request, n int64) bool {
			if n > 1 {
				s.serve(&stalling{w, r, sent}, r)
			}
			return n > 1
		}
		opt := quick
		opt.Stall, opt.Patience = 100*time.Millisecond, 200*time.Millisecond
		var told atomic.Int64
		opt.Again = func(err error) {
			told.Add(1)
			assert.EqualError(t, err, "the server sends nothing")
		}
		src := open(t, s.URL, opt)
		_, err := src.ReadAt(make([]byte, 10), 500_000)
		var given *remote.GivenUpError
		require.ErrorAs(t, err, &given)
		assert.Equal(t, 2, given.Attempts)
		assert.Contains(t, err.Error(), "the server sends nothing; tried 2 times")
		assert.EqualValues(t, 3, s.requests.Load())
		assert.EqualValues(t, 1, told.Load())
	}
}

// stalling sends some bytes, and then nothing until nobody listens.
type stalling struct {
	http.ResponseWriter
	r    *http.Request
	left int
}

func (s *stalling) Write(p []byte) (int, error) {
	n := min(len(p), s.left)
	s.left -= n
	if n > 0 {
		_, _ = s.ResponseWriter.Write(p[:n])
	}
	_ = http.NewResponseController(s.ResponseWriter).Flush()
	<-s.r.Context().Done()
	panic(http.ErrAbortHandler)
}

// TestDownloadStalls: what was written of a transfer that stalls is not written again.
func TestDownloadStalls(t *testing.T) {
	t.Parallel()
	for _, sent := range []int{0, 50_000} {
		s := serve(t, contents(1<<20))
		s.fault = func(w http.ResponseWriter, r *http.Request, n int64) bool {
			if n == 1 {
				s.serve(&stalling{w, r, sent}, r)
			}
			return n == 1
		}
		opt := quick
		opt.Stall = 100 * time.Millisecond
		var got bytes.Buffer
		n, err := remote.Download(t.Context(), s.URL, opt, &got)
		assert.EqualValues(t, got.Len(), n)
		if sent == 0 { // nothing was
			require.NoError(t, err)
			assert.True(t, bytes.Equal(s.data, got.Bytes()))
			continue
		}
		require.ErrorContains(t, err, "the transfer broke off after ")
		assert.NotContains(t, err.Error(), "understood")
		require.ErrorContains(t, err, " KiB: the server sends nothing")
		assert.True(t, bytes.Equal(s.data[:n], got.Bytes()))
	}
}

// TestRetry: what was asked for before a retry and is refused after it is asked for again,
// and nothing else is refused for it.
func TestRetry(t *testing.T) {
	t.Parallel()
	const there, elsewhere = 500_000, 700_000
	s := serve(t, contents(1<<20))
	asked, answer := make(chan struct{}), make(chan struct{})
	s.fault = func(w http.ResponseWriter, _ *http.Request, n int64) bool {
		if n != 2 {
			return false
		}
		close(asked)
		<-answer
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	src := open(t, s.URL, quick)
	read := make(chan error, 2)
	readThere := func() {
		got := make([]byte, 10)
		_, err := src.ReadAt(got, there)
		if err == nil && !bytes.Equal(s.data[there:][:10], got) {
			err = errors.New("other bytes")
		}
		read <- err
	}
	go readThere()
	<-asked
	src.Retry()
	go readThere()
	s.equal(t, src, elsewhere, 10)
	close(answer)
	require.NoError(t, <-read)
	require.NoError(t, <-read)
	require.NoError(t, src.Failure())
	s.equal(t, src, elsewhere+100_000, 10)
}

// TestChanged: a file that is replaced while it is read is an error, whether the server
// looks at what the request says or not.
func TestChanged(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func(h http.Header){
		"If-Match": func(http.Header) {},
		"none":     func(h http.Header) { h.Del("If-Match") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, contents(1<<20))
			s.fault = func(_ http.ResponseWriter, r *http.Request, n int64) bool {
				if n == 1 {
					return false
				}
				s.etag = `"two"`
				header(r.Header)
				return false
			}
			src := open(t, s.URL, quick)
			_, err := src.ReadAt(make([]byte, 10), 500_000)
			var changed *remote.ChangedError
			require.ErrorAs(t, err, &changed)
		})
	}
	// Another size is another file, where nothing else tells.
	s := serve(t, contents(1<<20))
	s.etag = `W/"weak"`
	s.fault = func(http.ResponseWriter, *http.Request, int64) bool { return false }
	src := open(t, s.URL, quick)
	s.data = s.data[:1<<19]
	_, err := src.ReadAt(make([]byte, 10), 300_000)
	require.ErrorContains(t, err, "changed while it was read")
}

// TestRefusals: what a server says, in words, and nothing of it is tried again.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const expired = `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>`
	for name, c := range map[string]struct {
		status      int
		body, query string
		want        string
	}{
		"none":    {404, "", "", "the server answers 404 Not Found; there is no such file"},
		"secret":  {403, "<Error><Code>AccessDenied</Code><Message>Key hushhush is unknown\t</Message></Error>", "key=hushhush", "the server answers 403 Forbidden (AccessDenied: Key … is unknown); it wants other credentials"},
		"expired": {403, expired, "", "the presigned URL expired; make a new one that is valid for longer"},
		"S3":      {403, "", "X-Amz-Date=20200102T030405Z&X-Amz-Expires=60&X-Amz-Signature=abcdef0123", "the presigned URL expired at 2020-01-02 03:05:05 UTC; make a new one that is valid for longer"},
		"S3 v2":   {403, "", "AWSAccessKeyId=AK&Signature=S&Expires=1577934305", "the presigned URL expired at 2020-01-02 03:05:05 UTC; make a new one that is valid for longer"},
		"Azure":   {403, "", "sv=1&se=2020-01-02T03:05:05Z&sig=abcdefgh", "the presigned URL expired at 2020-01-02 03:05:05 UTC; make a new one that is valid for longer"},
		"page":    {400, "<html>long text hushhush</html>", "", "the server answers 400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, contents(100))
			s.fault = func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
				return true
			}
			_, err := remote.Open(t.Context(), s.URL+"/x?"+c.query, quick)
			require.EqualError(t, err, c.want)
			assert.EqualValues(t, 1, s.requests.Load())
		})
	}
}

// TestNoRanges: a server that sends a file only whole.
func TestNoRanges(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(1<<20))
	s.fault = func(_ http.ResponseWriter, r *http.Request, _ int64) bool {
		r.Header.Del("Range")
		return false
	}
	_, err := remote.Open(t.Context(), s.URL, quick)
	var none *remote.NoRangesError
	require.ErrorAs(t, err, &none)
	assert.EqualValues(t, 1<<20, none.Size)
	var whole bytes.Buffer
	n, err := remote.Download(t.Context(), s.URL, quick, &whole)
	require.NoError(t, err)
	assert.EqualValues(t, 1<<20, n)
	assert.True(t, bytes.Equal(s.data, whole.Bytes()))
	// What is cut is no file.
	s.fault = func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		r.Header.Del("Range")
		s.serve(&short{w, 50_000}, r)
		return true
	}
	_, err = remote.Download(t.Context(), s.URL, quick, io.Discard)
	require.EqualError(t, err, "the transfer broke off after 49 KiB")
}

// TestEmpty: a file of no bytes.
func TestEmpty(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.fault = func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
		w.Header().Set("Content-Range", "bytes */0")
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return true
	}
	src := open(t, s.URL, quick)
	assert.Zero(t, src.Size())
	_, err := src.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, io.EOF)
}

// TestLies: ranges that are not those that were asked for are refused.
func TestLies(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "bytes 0-9/", "bytes 1-9/10", "bytes 0-10/10", "bytes 9-0/10", "bytes 0-9/*", "bytes 0-9/99999999999999999999", "bytes 0-9/9000000000000000000", "items 0-9/10"} {
		s := serve(t, contents(10))
		s.fault = func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
			w.Header().Set("Content-Range", text)
			w.WriteHeader(http.StatusPartialContent)
			return true
		}
		_, err := remote.Open(t.Context(), s.URL, quick)
		var protocol *remote.ProtocolError
		require.ErrorAs(t, err, &protocol, text)
	}
}

// TestCancel: the end of the context ends a read that waits, at once.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(1<<20))
	waiting := make(chan struct{}, 10)
	s.fault = func(_ http.ResponseWriter, r *http.Request, n int64) bool {
		if n == 1 {
			return false
		}
		waiting <- struct{}{}
		<-r.Context().Done()
		return true
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	src, err := remote.Open(ctx, s.URL, quick)
	require.NoError(t, err)
	defer src.Close()
	done := make(chan error, 1)
	go func() {
		_, err := src.ReadAt(make([]byte, 10), 500_000)
		done <- err
	}()
	<-waiting
	why := errors.New("enough")
	begun := time.Now()
	cancel(why)
	require.ErrorIs(t, <-done, why)
	assert.Less(t, time.Since(begun), 2*time.Second)
	assert.NoError(t, src.Failure(), "that says nothing of the server")
}

// TestRedirect: headers and queries go to the host of the URL and to no other, and a
// place that is no longer valid is asked for again.
func TestRedirect(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(1<<20))
	var seen atomic.Pointer[http.Header]
	s.fault = func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		h := r.Header.Clone()
		seen.Store(&h)
		if r.URL.Query().Get("ticket") == "1" && r.Header.Get("Range") != "bytes=0-131071" {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}
	var tickets atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "hushhush", r.Header.Get("X-Token"))
		http.Redirect(w, r, fmt.Sprintf("%s/there?ticket=%d", s.URL, tickets.Add(1)), http.StatusFound)
	}))
	t.Cleanup(front.Close)
	opt := quick
	opt.Header = http.Header{"X-Token": {"hushhush"}, "Authorization": {"Bearer hushhush"}}
	src := open(t, front.URL+"/here?secret=hushhush", opt)
	s.equal(t, src, 300_000, 400_000)
	assert.EqualValues(t, 2, tickets.Load(), "the place is kept as long as it is valid")
	for _, name := range []string{"X-Token", "Authorization", "Referer"} {
		assert.Empty(t, seen.Load().Get(name), name)
	}
}

// TestSecrets: nothing that is secret is in an error.
func TestSecrets(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	host := strings.TrimPrefix(gone.URL, "http://")
	s := serve(t, contents(10))
	s.fault = func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
		w.Header().Set("Location", "http://%zz?hushhush")
		w.WriteHeader(http.StatusFound)
		return true
	}
	opt := quick
	opt.Header = http.Header{"X-Token": {"hushhush"}}
	for _, u := range []string{
		"http://user:hushhush@" + host + "/x?token=hushhush", "http://hushhush:hush", "https://%zzhushhush", "http://[hushhush", s.URL + "?t=hushhush",
		"http://user:hush hush@host/", "https://hushhush",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := remote.Open(ctx, u, opt)
		cancel()
		if u == "https://hushhush" {
			continue // a host is no secret
		}
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hushhush", u)
		assert.NotContains(t, err.Error(), "hush hush", u)
	}
	opt.Header = http.Header{"X-Token": {"hush\nhush"}}
	_, err := remote.Open(t.Context(), s.URL, opt)
	require.EqualError(t, err, `the header "X-Token" can't be sent`)
	for u, want := range map[string]string{
		"https://user:pw@host:9000/a%20b/c.vmcore?X-Amz-Signature=1#frag": "https://host:9000/a%20b/c.vmcore",
		"https://%zzhushhush": "https://…",
	} {
		assert.Equal(t, want, remote.Redact(u))
	}
}
