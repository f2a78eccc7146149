package convert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/guestsim"
	"windmp/internal/remote"
	"windmp/physmem"
)

// A web serves files, and counts what it sends.
type web struct {
	*httptest.Server
	files map[string]string // by the path of the URL
	sent  atomic.Int64
	// front, if there is one, may answer instead.
	front func(w http.ResponseWriter, r *http.Request) bool
}

func serveFiles(tb testing.TB, paths ...string) *web {
	tb.Helper()
	s := &web{files: map[string]string{}}
	for _, path := range paths {
		s.files["/"+filepath.Base(path)] = path
	}
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

func (s *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.front != nil && s.front(w, r) {
		return
	}
	path, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeFile(&countedResponse{w, &s.sent}, r, path)
}

// of is the URL of a file, with a query that is secret.
func (s *web) of(path string) string { return s.URL + "/" + filepath.Base(path) + "?sig=hushhush" }

type countedResponse struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countedResponse) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

// same asserts that two reports are equal but for the name of the input and what was
// transferred, and that the second has nothing secret.
func same(t *testing.T, ofFile, ofURL any) {
	t.Helper()
	text := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		var m any
		require.NoError(t, json.Unmarshal(b, &m))
		clean(m)
		b, err = json.MarshalIndent(m, "", " ")
		require.NoError(t, err)
		return string(b)
	}
	assert.Equal(t, text(ofFile), text(ofURL))
	assert.NotContains(t, text(ofURL), "hushhush")
}

// clean removes what differs between a file and a URL.
func clean(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "path")
		delete(v, "transferred")
		for _, x := range v {
			clean(x)
		}
	case []any:
		for _, x := range v {
			clean(x)
		}
	}
}

// TestURL: all commands say of a URL what they say of the file, packed ones too, and a
// dump of it is the file's.
func TestURL(t *testing.T) {
	t.Parallel()
	packed := samplePath("live-2cpu.vmcore.gz")
	s := serveFiles(t, writeCore(t, guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash})), packed, sample(t, "live-2cpu.kdump.gz"))
	ctx := t.Context()
	for _, path := range s.files {
		if testing.Short() && path == packed {
			continue
		}
		u := source.Named(s.of(path))
		require.True(t, u.IsURL())
		require.Equal(t, s.URL+"/"+filepath.Base(path), u.Path())
		require.Equal(t, filepath.Base(path), u.Name())
		for _, level := range []inspect.CheckLevel{inspect.CheckHeader, inspect.CheckQuick, inspect.CheckFull} {
			of, err := inspect.Check(ctx, inspect.CheckOptions{Level: level}, source.File(path), u)
			require.NoError(t, err)
			same(t, of.Files[0], of.Files[1])
			assert.Positive(t, of.Files[1].Transferred)
			assert.Zero(t, of.Files[0].Transferred)
		}
		ofFile, err := inspect.Info(ctx, source.File(path), inspect.InfoOptions{Modules: true, Processes: true})
		require.NoError(t, err)
		ofURL, err := inspect.Info(ctx, u, inspect.InfoOptions{Modules: true, Processes: true})
		require.NoError(t, err)
		same(t, ofFile, ofURL)
		assert.Positive(t, ofURL.Input.Transferred)
		stackOfFile, err := inspect.Stack(ctx, source.File(path), inspect.StackOptions{})
		require.NoError(t, err)
		stackOfURL, err := inspect.Stack(ctx, u, inspect.StackOptions{})
		require.NoError(t, err)
		same(t, stackOfFile, stackOfURL)

		dir := t.TempDir()
		_, err = convert.File(ctx, path, filepath.Join(dir, "file.dmp"), convert.Options{})
		require.NoError(t, err)
		r, err := convert.File(ctx, s.of(path), filepath.Join(dir, "url.dmp"), convert.Options{})
		require.NoError(t, err)
		assert.Equal(t, u.Path(), r.Input.Path)
		assert.Positive(t, r.Input.Transferred)
		equalFiles(t, filepath.Join(dir, "file.dmp"), filepath.Join(dir, "url.dmp"))
		var stream bytes.Buffer
		_, err = convert.Stream(ctx, source.Named(s.of(path)), &stream, convert.Options{})
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(dir, "file.dmp"))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(b, stream.Bytes()))
	}
}

func equalFiles(t *testing.T, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	require.NoError(t, err)
	y, err := os.ReadFile(b)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(x, y))
}

// TestURLSiblings: a format in two files is found behind URLs, too.
func TestURLSiblings(t *testing.T) {
	t.Parallel()
	path := sample(t, "live-2cpu.vmss.gz")
	of := func(in source.Input) *inspect.FileCheck { return checkInput(t.Context(), in, inspect.CheckOptions{}) }
	s := serveFiles(t, path)
	same(t, of(source.File(path)), of(source.URL(s.of(path))))
}

// TestURLReadsLittle: what a check of 64 GiB transfers is below 4 MiB, of a core and of a
// dump, and so is what makes a small dump, or looks at the stack.
func TestURLReadsLittle(t *testing.T) {
	t.Parallel()
	core, dmp := giantFiles(t)
	s := serveFiles(t, core, dmp)
	count := func(what string, f func()) {
		s.sent.Store(0)
		f()
		n := s.sent.Load()
		t.Logf("%s: %d KiB", what, n>>10)
		assert.Less(t, n, int64(4<<20), what)
	}
	for _, path := range []string{core, dmp} {
		name := filepath.Base(path)
		count("check of "+name, func() {
			f := checkInput(t.Context(), source.URL(s.of(path)), inspect.CheckOptions{})
			assert.Equal(t, "OK", f.Verdict, f.Reason)
			assert.Equal(t, s.sent.Load(), f.Transferred)
		})
		count("stack of "+name, func() {
			_, err := inspect.Stack(t.Context(), source.URL(s.of(path)), inspect.StackOptions{})
			require.NoError(t, err)
		})
		count("triage of "+name, func() {
			r, err := convert.File(t.Context(), s.of(path), filepath.Join(t.TempDir(), "small.dmp"), smallOptions(0))
			require.NoError(t, err)
			assert.True(t, r.Output.Written)
		})
	}
}

// TestURLKernelReadsOnlyItsPages: a kernel dump transfers what it holds, and what leads
// there.
func TestURLKernelReadsOnlyItsPages(t *testing.T) {
	t.Parallel()
	core, _ := giantFiles(t)
	s := serveFiles(t, core)
	opt := convert.Options{Plan: plan.Options{Type: plan.OutputKernel}}
	r, err := convert.File(t.Context(), s.of(core), filepath.Join(t.TempDir(), "kernel.dmp"), opt)
	require.NoError(t, err)
	t.Logf("a dump of %d KiB took %d KiB", r.Output.Size>>10, s.sent.Load()>>10)
	assert.Less(t, s.sent.Load(), r.Output.Size+4<<20)
}

// TestURLWithoutRanges: a server that sends only whole files is refused, or what it sends
// goes to a temporary file.
func TestURLWithoutRanges(t *testing.T) {
	t.Parallel()
	core := sample(t, "live-2cpu.vmcore.gz")
	s := serveFiles(t, core, samplePath("live-2cpu.vmcore.gz"))
	s.front = func(_ http.ResponseWriter, r *http.Request) bool {
		r.Header.Del("Range")
		return false
	}
	for _, path := range s.files {
		u := source.URL(s.of(path))
		f := checkInput(t.Context(), u, inspect.CheckOptions{})
		assert.Equal(t, "UNKNOWN", f.Verdict)
		assert.Contains(t, f.Error.Message, "on a server that sends it only whole, not in parts")
		dir := t.TempDir()
		opt := inspect.CheckOptions{Source: source.Options{TempDir: dir, Web: source.Web{Download: true}}}
		var told []stage.Whole
		opt.Whole = func(_ string, w stage.Whole) { told = append(told, w) }
		same(t, checkFile(t.Context(), path, inspect.CheckOptions{}), checkInput(t.Context(), u, opt))
		require.NotEmpty(t, told)
		assert.True(t, told[0].Fetched, "what is fetched is not called packed")
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
		// No more is written to the disk than may be.
		opt.MaxSize = 1000
		f = checkInput(t.Context(), u, opt)
		require.ErrorContains(t, f.Err, "more than the limit of 1000 bytes")
	}
}

// TestURLFails: what a server does not send is an error of reading, and no verdict on the
// guest; wherever it happens.
func TestURLFails(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{CPUs: 2}))
	s := serveFiles(t, core)
	requests := atomic.Int64{}
	limit := atomic.Int64{}
	s.front = func(w http.ResponseWriter, _ *http.Request) bool {
		if requests.Add(1) <= limit.Load() {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
		return true
	}
	for n := int64(0); ; n += 1 + n/2 {
		requests.Store(0)
		limit.Store(n)
		f := checkInput(t.Context(), source.URL(s.of(core)), inspect.CheckOptions{})
		if requests.Load() <= n {
			assert.Equal(t, "OK", f.Verdict)
			assert.Greater(t, n, int64(2))
			break
		}
		assert.Equal(t, "UNKNOWN", f.Verdict, n)
		var failed *physmem.SourceError
		require.ErrorAs(t, f.Err, &failed, n)
		require.ErrorContains(t, f.Err, "the presigned URL expired")
		assert.Contains(t, f.Reason, "the presigned URL expired")
		assert.Equal(t, "OK", finding.Verdict(f.Findings), "nothing follows from what did not come: %v", f.Findings)

		requests.Store(0)
		out := filepath.Join(t.TempDir(), "out.dmp")
		_, err := convert.File(t.Context(), s.of(core), out, convert.Options{})
		require.ErrorContains(t, err, "the presigned URL expired")
		var refused *finding.RefusedError
		require.NotErrorAs(t, err, &refused)
		assert.NotContains(t, err.Error(), "hushhush")
		assert.NoFileExists(t, out)
	}
}

// TestURLChanges: an object that is replaced in mid-copy is an error.
func TestURLChanges(t *testing.T) {
	t.Parallel()
	core := sample(t, "live-2cpu.vmcore.gz")
	other := filepath.Join(t.TempDir(), "other")
	b, err := os.ReadFile(core)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(other, b, 0o600))
	require.NoError(t, os.Chtimes(other, time.Unix(1e9, 0), time.Unix(1e9, 0)))
	s := serveFiles(t, core)
	var writing atomic.Bool
	s.front = func(w http.ResponseWriter, r *http.Request) bool {
		if writing.Load() {
			http.ServeFile(w, r, other)
		}
		return writing.Load()
	}
	out := filepath.Join(t.TempDir(), "out.dmp")
	_, err = convert.File(t.Context(), s.of(core), out, convert.Options{Progress: func(p stage.Progress) {
		if p.Stage == stage.Plan {
			writing.Store(true)
		}
	}})
	var changed *remote.ChangedError
	require.ErrorAs(t, err, &changed)
	assert.NoFileExists(t, out)
}

// TestURLCancelled: a copy ends with its context, though the server is waited for.
func TestURLCancelled(t *testing.T) {
	t.Parallel()
	core := sample(t, "live-2cpu.vmcore.gz")
	s := serveFiles(t, core)
	ctx, cancel := context.WithCancel(t.Context())
	var writing atomic.Bool
	s.front = func(_ http.ResponseWriter, r *http.Request) bool {
		if !writing.Load() {
			return false
		}
		cancel()
		<-r.Context().Done()
		return true
	}
	out := filepath.Join(t.TempDir(), "out.dmp")
	_, err := convert.File(ctx, s.of(core), out, convert.Options{Progress: func(p stage.Progress) {
		if p.Stage == stage.Plan {
			writing.Store(true)
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	assert.NoFileExists(t, out)
}

// TestURLHeaders: a server that wants a header gets it, and no report has it.
func TestURLHeaders(t *testing.T) {
	t.Parallel()
	core := sample(t, "live-2cpu.vmcore.gz")
	s := serveFiles(t, core)
	s.front = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Kubevirt-Export-Token") == "hushhush" {
			return false
		}
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	plain := s.URL + "/" + filepath.Base(core)
	f := checkInput(t.Context(), source.URL(plain), inspect.CheckOptions{})
	assert.Equal(t, "UNKNOWN", f.Verdict)
	assert.True(t, strings.HasSuffix(f.Error.Message, "the server answers 401 Unauthorized; it wants other credentials"), f.Error.Message)
	opt := inspect.CheckOptions{Source: source.Options{Web: source.Web{Header: http.Header{"x-kubevirt-export-token": {"hushhush"}}}}}
	f = checkInput(t.Context(), source.URL(plain), opt)
	assert.Equal(t, "OK", f.Verdict, f.Reason)
}
