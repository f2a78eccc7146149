package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/exitcode"
	"windmp/internal/webtest"
)

// protocols counts the requests of each version of HTTP.
type protocols struct {
	mu    sync.Mutex
	count map[string]int
}

func (p *protocols) serve(files http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.count[r.Proto]++
		p.mu.Unlock()
		files.ServeHTTP(w, r)
	})
}

// seen are the counts since the last call.
func (p *protocols) seen() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.count
	p.count = map[string]int{}
	return was
}

// everywhere is an address of this machine that Go does not take for it, so that a proxy
// is asked for it too.
const everywhere = "0.0.0.0"

// samplesOver serves the samples, with TLS if there is a certificate; the URL has a query
// that is secret.
func samplesOver(t *testing.T, p *protocols, cert *tls.Certificate, http2 bool) (rawURL string) {
	t.Helper()
	s := httptest.NewUnstartedServer(p.serve(http.FileServer(http.Dir(filepath.Join("..", "..", "testdata")))))
	l, err := net.Listen("tcp4", everywhere+":0")
	require.NoError(t, err)
	require.NoError(t, s.Listener.Close())
	s.Listener, s.EnableHTTP2 = l, http2
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of who does not trust it
	if cert == nil {
		s.Start()
	} else {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	scheme, _, _ := strings.Cut(s.URL, "://")
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return scheme + "://" + everywhere + ":" + port + "/guest-bsod.vmcore?hush=hushhush"
}

// TestTLS: SSL_CERT_FILE names an authority that the system does not know; without it
// nothing is read. A server that speaks HTTP/2 is spoken to so.
func TestTLS(t *testing.T) {
	t.Parallel()
	cert, authority := webtest.Certificate(t, everywhere)
	want := filepath.Join(t.TempDir(), "want.dmp")
	require.Zero(t, finishHere("convert", mountedCore, want).code)
	for version, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		p := &protocols{count: map[string]int{}}
		u := samplesOver(t, p, &cert, http2)
		out := filepath.Join(t.TempDir(), "out.dmp")
		cmd := command(t, "convert", "--quiet", u, out)
		cmd.Env = append(cmd.Environ(), "SSL_CERT_FILE="+authority, "SSL_CERT_DIR="+t.TempDir()) // and no other
		got := finish(t, cmd)
		require.Zero(t, got.code, got.stderr)
		assert.Equal(t, digest(t, want), digest(t, out))
		seen := p.seen()
		assert.Len(t, seen, 1)
		assert.Greater(t, seen[version], 3)

		got = finish(t, command(t, "convert", u, out+".2"))
		assert.Equal(t, exitcode.Failed, got.code)
		assert.Empty(t, p.seen(), "nothing is asked of a server that nobody vouches for")
		assert.Contains(t, got.stderr, "certificate signed by unknown authority")
		assert.NotContains(t, got.stderr, "hushhush")
	}
}

// TestThroughAProxy: the proxies that the environment names are used, as they are by
// other programs: that of http for what is not encrypted, a tunnel for https.
func TestThroughAProxy(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: the proxy waits after each connection")
	}
	t.Parallel()
	proxy := webtest.Tinyproxy(t)
	cert, authority := webtest.Certificate(t, everywhere)
	p := &protocols{count: map[string]int{}}
	for method, u := range map[string]string{"GET": samplesOver(t, p, nil, false), "CONNECT": samplesOver(t, p, &cert, true)} {
		require.Zero(t, proxy.Asked(t, method))
		cmd := command(t, "check", u)
		cmd.Env = append(cmd.Environ(), "SSL_CERT_FILE="+authority, "http_proxy="+proxy.URL, "https_proxy="+proxy.URL)
		got := finish(t, cmd)
		require.Zero(t, got.code, got.stderr)
		assert.Positive(t, proxy.Asked(t, method))
		assert.NotEmpty(t, p.seen())
		before := proxy.Asked(t, method)
		cmd.Env = append(cmd.Env, "no_proxy="+everywhere)
		again := command(t, "check", u)
		again.Env = cmd.Env
		got = finish(t, again)
		require.Zero(t, got.code, got.stderr)
		assert.Equal(t, before, proxy.Asked(t, method))
	}
}
