package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/convert/exitcode"
)

// TestURLs: every command takes a URL, with the headers of flags and environment, and
// prints nothing that is secret.
func TestURLs(t *testing.T) { //nolint:paralleltest // environment and folder
	testdata, err := filepath.Abs("../../testdata")
	require.NoError(t, err)
	files := http.FileServer(http.Dir(testdata))
	ranges := true
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "hushhush" || r.URL.RawQuery != "sig=hushhush" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if !ranges {
			r.Header.Del("Range")
		}
		files.ServeHTTP(w, r)
	}))
	defer s.Close()
	t.Chdir(t.TempDir())
	u := s.URL + "/guest-bsod.vmcore?sig=hushhush"
	try := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := run(args, &stdout, &stderr)
		both := stdout.String() + stderr.String()
		require.Equal(t, want, code, "%v: %s", args, both)
		assert.NotContains(t, both, "hushhush", "%v", args)
		return both
	}
	const token = "--header=X-Token: hushhush"
	try(exitcode.Done, "check", u, token)
	try(exitcode.Done, "info", u, token)
	try(exitcode.Done, "stack", u, token)
	try(exitcode.Done, "symbols", u, token)
	try(exitcode.Done, "vtop", u, "fffff78000000000", token)
	assert.Contains(t, try(exitcode.Done, "convert", u, token, "--json", "--report=report.json"), `"transferred":`)
	for _, name := range []string{"guest-bsod.vmcore.dmp", "report.json"} {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.NotContains(t, string(b), "hushhush", name)
	}
	assert.Contains(t, try(exitcode.Failed, "info", u), "403 Forbidden")
	assert.Contains(t, try(exitcode.Usage, "info", u, "--header=hushhush"), "NAME: VALUE")
	assert.Contains(t, try(exitcode.Usage, "convert", s.URL+"?sig=hushhush", token), "OUT")

	t.Setenv(sourceflag.HeadersVariable, "X-Token: hushhush\nX-Other: 1")
	try(exitcode.Done, "check", u)
	try(exitcode.Failed, "info", u, "--header=X-Token: other1")
	ranges = false
	assert.Contains(t, try(exitcode.Unsupported, "info", u), "--download")
	try(exitcode.Done, "info", u, "--download")
	t.Setenv(sourceflag.HeadersVariable, "hushhush")
	assert.Contains(t, try(exitcode.Usage, "info", u), sourceflag.HeadersVariable)
	left, err := filepath.Glob("*")
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"guest-bsod.vmcore.dmp", "report.json"}, left)
}
