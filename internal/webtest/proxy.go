package webtest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A Proxy stands in front of a server: it counts, and makes faults.
type Proxy struct {
	*httptest.Server
	// Requests and Sent count what was asked, and the bytes of bodies that went out.
	Requests, Sent atomic.Int64
	upstream       string
	fault          atomic.Pointer[Fault]
}

// A Fault is done to a request, the n-th from 1 on, instead of handing it on with next.
type Fault func(w http.ResponseWriter, r *http.Request, n int64, next http.Handler)

// Front puts a proxy in front of a server.
func Front(tb testing.TB, s *Server) *Proxy {
	tb.Helper()
	to, err := url.Parse(s.URL)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{upstream: s.URL}
	next := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to) // with the host that signatures are for
	}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := p.Requests.Add(1)
		w = &counter{w, &p.Sent}
		if f := p.fault.Load(); f != nil {
			(*f)(w, r, n, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	tb.Cleanup(p.Close)
	return p
}

// Fail sets the fault, nil for none, and counts from 1 again.
func (p *Proxy) Fail(f Fault) {
	p.Requests.Store(0)
	p.Sent.Store(0)
	if f == nil {
		p.fault.Store(nil)
		return
	}
	p.fault.Store(&f)
}

// Of is the URL with which the proxy hands on what the server has at another one.
func (p *Proxy) Of(serverURL string) string { return p.URL + strings.TrimPrefix(serverURL, p.upstream) }

type counter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// Unwrap is for [http.ResponseController].
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Cut breaks an answer off after some bytes of its body.
func Cut(bytes int) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ int64, next http.Handler) {
		next.ServeHTTP(&cutter{w, bytes}, r)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// Unavailable answers 503 when a range is asked for the first time, to every fourth
// request for one.
func Unavailable() Fault {
	var asked sync.Map
	return func(w http.ResponseWriter, r *http.Request, n int64, next http.Handler) {
		if _, again := asked.LoadOrStore(r.Header.Get("Range"), true); again || n%4 != 1 {
			next.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}
