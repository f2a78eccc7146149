package remote_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/remote"
	"windmp/physmem"
)

// quick lets attempts follow each other at once.
var quick = remote.Options{Pause: time.Millisecond, Stall: 10 * time.Second}

// contents are bytes that differ from place to place.
func contents(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// A server has one file, and a fault for some requests.
type server struct {
	*httptest.Server
	data     []byte
	etag     string
	requests atomic.Int64
	sent     atomic.Int64
	// fault answers instead, if it returns true; n counts requests from 1.
	fault func(w http.ResponseWriter, r *http.Request, n int64) bool
}

func serve(t *testing.T, data []byte) *server {
	t.Helper()
	s := &server{data: data, etag: `"one"`}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.requests.Add(1)
	if s.fault != nil && s.fault(w, r, n) {
		return
	}
	s.serve(w, r)
}

// serve sends what is asked for.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
	}
	http.ServeContent(counting{w, s}, r, "", time.Unix(1e9, 0), bytes.NewReader(s.data))
}

// counting counts what is sent.
type counting struct {
	http.ResponseWriter
	s *server
}

func (c counting) Write(p []byte) (int, error) {
	c.s.sent.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

func open(t *testing.T, rawURL string, opt remote.Options) *remote.Source {
	t.Helper()
	s, err := remote.Open(t.Context(), rawURL, opt)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// equal reads a stretch and compares.
func (s *server) equal(t *testing.T, src *remote.Source, off, n int) {
	t.Helper()
	got := make([]byte, n)
	_, err := src.ReadAt(got, int64(off))
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.data[off:off+n], got), "%d bytes at %d", n, off)
}

// TestReadAt: any stretch reads as it is, with a cache that holds little of the file.
func TestReadAt(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(3<<20+12345))
	opt := quick
	opt.Cache = 256 << 10
	src := open(t, s.URL+"/some/guest%20one.vmcore?secret=1", opt)
	assert.EqualValues(t, len(s.data), src.Size())
	assert.Equal(t, "guest one.vmcore", src.Name())
	assert.Equal(t, time.Unix(1e9, 0).UTC(), src.ModTime().UTC())
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		off := r.IntN(len(s.data))
		s.equal(t, src, off, r.IntN(min(len(s.data)-off, 300_000)))
	}
	s.equal(t, src, 0, len(s.data))
	// The end is as io.ReaderAt wants it.
	b := make([]byte, 10)
	n, err := src.ReadAt(b, src.Size()-4)
	assert.Equal(t, 4, n)
	require.ErrorIs(t, err, io.EOF)
	_, err = src.ReadAt(b, src.Size())
	require.ErrorIs(t, err, io.EOF)
	_, err = src.ReadAt(b, -1)
	require.Error(t, err)
	assert.Equal(t, s.sent.Load(), src.Transferred())
	assert.NoError(t, src.Failure())
}

// TestLittle: who looks here and there causes little transfer.
func TestLittle(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(8<<20))
	src := open(t, s.URL, quick)
	for i := range 20 {
		s.equal(t, src, i*300_000, 64)
	}
	assert.LessOrEqual(t, s.sent.Load(), int64(128<<10+20*2*16<<10))
	n := s.requests.Load()
	s.equal(t, src, 5*300_000, 64)
	assert.Equal(t, n, s.requests.Load(), "it is kept")
}

// TestInOrder: what is read in order is fetched ahead, each byte once, by several
// connections.
func TestInOrder(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(20<<20))
	var now, most atomic.Int64
	s.fault = func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m; m = most.Load() {
			most.CompareAndSwap(m, n)
		}
		time.Sleep(2 * time.Millisecond)
		s.serve(w, r)
		return true
	}
	src := open(t, s.URL, quick)
	for off := 0; off < len(s.data); off += 256 << 10 {
		s.equal(t, src, off, 256<<10)
	}
	assert.EqualValues(t, len(s.data), s.sent.Load())
	assert.Greater(t, most.Load(), int64(2))
	assert.Less(t, s.requests.Load(), int64(40))
}

// TestAnnounced: what is announced is fetched ahead, and nothing else.
func TestAnnounced(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(16<<20))
	opt := quick
	opt.Cache = 2 << 20
	src := open(t, s.URL, opt)
	var list []physmem.Stretch
	want := int64(128 << 10) // the probe
	for at := int64(1 << 20); at < 15<<20; at += 3 << 19 {
		list = append(list, physmem.Stretch{Offset: at, Size: 1 << 20})
		want += 1 << 20
	}
	src.Announce(func(yield func(physmem.Stretch) bool) {
		for _, x := range list {
			if !yield(x) {
				return
			}
		}
	})
	for _, x := range list {
		for at := x.Offset; at < x.Offset+x.Size; at += 256 << 10 {
			s.equal(t, src, int(at), 256<<10)
		}
	}
	assert.Equal(t, want, s.sent.Load())
}

// TestFaults: what another attempt mends is mended, and each byte is right.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(s *server, w http.ResponseWriter, r *http.Request, n int64) bool{
		"503": func(_ *server, w http.ResponseWriter, _ *http.Request, n int64) bool {
			if n%3 == 0 {
				return false
			}
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
		"cut": func(s *server, w http.ResponseWriter, r *http.Request, _ int64) bool {
			// Each answer breaks off after some 20 KiB.
			s.serve(&short{w, 20_000}, r)
			return true
		},
		"little": func(s *server, w http.ResponseWriter, r *http.Request, _ int64) bool {
			// Less than what is asked for at least, each time: but it goes on.
			s.serve(&short{w, 5000}, r)
			return true
		},
		"reset": func(_ *server, w http.ResponseWriter, _ *http.Request, n int64) bool {
			if n%2 == 0 {
				return false
			}
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.Close()
			}
			return true
		},
		"stalled": func(s *server, w http.ResponseWriter, r *http.Request, n int64) bool {
			if n != 2 {
				return false
			}
			w.Header().Set("ETag", s.etag)
			w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %s/%d", strings.TrimPrefix(r.Header.Get("Range"), "bytes="), len(s.data)))
			w.WriteHeader(http.StatusPartialContent)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, contents(1<<20))
			s.fault = func(w http.ResponseWriter, r *http.Request, n int64) bool { return fault(s, w, r, n) }
			opt := quick
			if name == "stalled" {
				opt.Stall = 150 * time.Millisecond
			}
			src := open(t, s.URL, opt)
			s.equal(t, src, 200_000, 500_000)
			s.equal(t, src, 0, len(s.data))
		})
	}
}

// short breaks a connection off after some bytes.
type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	if len(p) <= s.left {
		s.left -= len(p)
		return s.ResponseWriter.Write(p)
	}
	_, _ = s.ResponseWriter.Write(p[:s.left])
	_ = http.NewResponseController(s.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// TestSiblings: files beside it are found by their names.
func TestSiblings(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(1000))
	s.fault = func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		switch r.URL.Path {
		case "/d/a.vmss", "/d/a b.vmem":
			return r.URL.RawQuery != "token=1"
		case "/d/hidden":
			w.WriteHeader(http.StatusForbidden)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
		return true
	}
	src := open(t, s.URL+"/d/a.vmss?token=1", quick)
	sibling, err := src.OpenSibling("a b.vmem")
	require.NoError(t, err)
	assert.EqualValues(t, 1000, sibling.Size())
	assert.Equal(t, "a b.vmem", sibling.Name())
	assert.EqualValues(t, 2000, src.Transferred())
	for _, name := range []string{"none", "hidden"} {
		_, err = src.OpenSibling(name)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	for _, name := range []string{"", "..", "a/b", `a\b`} {
		_, err = src.OpenSibling(name)
		require.ErrorIs(t, err, fs.ErrInvalid, name)
	}
}

// TestProxy: the environment's proxy is Go's; here, one is given as Go's transport has it.
func TestProxy(t *testing.T) {
	t.Parallel()
	s := serve(t, contents(1000))
	proxy, err := url.Parse(s.URL)
	require.NoError(t, err)
	opt := quick
	opt.Transport = &http.Transport{Proxy: http.ProxyURL(proxy)}
	src := open(t, "http://no.such.host.invalid/x.vmcore", opt)
	s.equal(t, src, 0, 1000)
}

func TestIsURL(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"http://x/y": true, "HTTPS://x": true, "https:/x": false, "file:///x": false, "guest.vmcore": false, "ftp://x": false, "": false,
	} {
		assert.Equal(t, want, remote.IsURL(name), name)
	}
}
