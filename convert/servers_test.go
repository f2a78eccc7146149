package convert_test

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/inspect"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/remote"
	"windmp/internal/webtest"
)

// asOfFile asserts that a conversion of a URL gives the file that one of the file gives.
func asOfFile(t *testing.T, path, rawURL string) {
	t.Helper()
	dir := t.TempDir()
	_, err := convert.File(t.Context(), path, filepath.Join(dir, "file.dmp"), convert.Options{})
	require.NoError(t, err)
	_, err = convert.File(t.Context(), rawURL, filepath.Join(dir, "url.dmp"), convert.Options{})
	require.NoError(t, err)
	equalFiles(t, filepath.Join(dir, "file.dmp"), filepath.Join(dir, "url.dmp"))
}

// atPlan runs f once, when what is to be written is known.
func atPlan(f func()) func(stage.Progress) {
	var once sync.Once
	return func(p stage.Progress) {
		if p.Stage == stage.Plan {
			once.Do(f)
		}
	}
}

// readsLittle asserts that what only looks transfers less than 4 MiB of 64 GiB.
func readsLittle(t *testing.T, p *webtest.Proxy, rawURL string) {
	t.Helper()
	p.Fail(nil)
	f := checkInput(t.Context(), source.URL(rawURL), inspect.CheckOptions{})
	assert.Equal(t, "OK", f.Verdict, f.Reason)
	assert.Greater(t, f.Size, int64(giant))
	assert.Less(t, p.Sent.Load(), int64(4<<20))
	t.Logf("check: %d KiB in %d requests", p.Sent.Load()>>10, p.Requests.Load())
	p.Fail(nil)
	_, err := convert.File(t.Context(), rawURL, filepath.Join(t.TempDir(), "small.dmp"), smallOptions(0))
	require.NoError(t, err)
	assert.Less(t, p.Sent.Load(), int64(4<<20))
}

// TestNginx: nginx serves files of 64 GiB, and others with faults.
func TestNginx(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := webtest.Nginx(t, dir)
	p := webtest.Front(t, s)
	for _, path := range giantNames(t, dir) {
		readsLittle(t, p, p.URL+"/"+filepath.Base(path))
	}
	core := filepath.Join(dir, "core.vmcore")
	b := sampleCopy(t, "live-2cpu.vmcore.gz")
	require.NoError(t, os.WriteFile(core, b, 0o600))
	for name, fault := range map[string]webtest.Fault{
		"none": nil, "503": webtest.Unavailable(), "cut": webtest.Cut(300_000),
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // one proxy
			p.Fail(fault)
			asOfFile(t, core, p.URL+"/core.vmcore")
		})
	}
	p.Fail(nil)
	asOfFile(t, core, p.URL+"/slow/core.vmcore")
	f := checkInput(t.Context(), source.URL(p.URL+"/whole/core.vmcore"), inspect.CheckOptions{})
	require.ErrorContains(t, f.Err, "only whole")

	out := filepath.Join(t.TempDir(), "out.dmp")
	_, err := convert.File(t.Context(), p.URL+"/core.vmcore", out, convert.Options{Progress: atPlan(func() {
		require.NoError(t, os.Chtimes(core, time.Time{}, time.Unix(1e9, 0)))
	})})
	var changed *remote.ChangedError
	require.ErrorAs(t, err, &changed)
	assert.NoFileExists(t, out)
}

// giantNames are the files of giantFiles, in a folder.
func giantNames(t *testing.T, dir string) []string {
	t.Helper()
	core, dmp := giantFiles(t)
	var out []string
	for _, path := range []string{core, dmp} {
		name := filepath.Join(dir, filepath.Base(path))
		require.NoError(t, os.Rename(path, name))
		out = append(out, name)
	}
	return out
}

// TestObjectStore: presigned URLs of an S3-compatible server.
func TestObjectStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := webtest.ObjectStore(t, dir)
	p := webtest.Front(t, s)
	presigned := func(key string, valid time.Duration) string {
		return p.Of(s.Presigned(http.MethodGet, key, valid))
	}
	for _, path := range giantNames(t, filepath.Join(dir, webtest.Bucket)) {
		readsLittle(t, p, presigned(filepath.Base(path), time.Hour))
	}
	core := sample(t, "live-2cpu.vmcore.gz")
	b, err := os.ReadFile(core)
	require.NoError(t, err)
	s.Put(t, "core one.vmcore", b)
	for name, fault := range map[string]webtest.Fault{
		"none": nil, "503": webtest.Unavailable(), "cut": webtest.Cut(300_000),
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // one proxy
			p.Fail(fault)
			asOfFile(t, core, presigned("core one.vmcore", time.Hour))
		})
	}
	p.Fail(nil)
	gz, err := os.ReadFile(samplePath("live-2cpu.vmcore.gz"))
	require.NoError(t, err)
	s.Put(t, "core.vmcore.gz", gz)
	asOfFile(t, core, presigned("core.vmcore.gz", time.Hour))

	t.Run("expires", func(t *testing.T) { //nolint:paralleltest // one proxy
		const valid = 3 * time.Second
		u, out := presigned("core one.vmcore", valid), filepath.Join(t.TempDir(), "out.dmp")
		_, err := convert.File(t.Context(), u, out, convert.Options{Progress: atPlan(func() { time.Sleep(valid + time.Second) })})
		require.ErrorContains(t, err, "the presigned URL expired at 20")
		assert.NotContains(t, err.Error(), "X-Amz")
		assert.NotContains(t, err.Error(), webtest.AccessKey)
		assert.NoFileExists(t, out)
	})
	t.Run("changes", func(t *testing.T) { //nolint:paralleltest // one proxy
		out := filepath.Join(t.TempDir(), "out.dmp")
		b[len(b)-1]++
		_, err := convert.File(t.Context(), presigned("core one.vmcore", time.Hour), out, convert.Options{Progress: atPlan(func() { s.Put(t, "core one.vmcore", b) })})
		var changed *remote.ChangedError
		require.ErrorAs(t, err, &changed)
		assert.NoFileExists(t, out)
	})
	t.Run("refused", func(t *testing.T) { //nolint:paralleltest // one proxy
		u := presigned("core one.vmcore", time.Hour)
		f := checkInput(t.Context(), source.URL(u[:len(u)-8]+"00000000"), inspect.CheckOptions{})
		require.ErrorContains(t, f.Err, "403 Forbidden (SignatureDoesNotMatch")
		f = checkInput(t.Context(), source.URL(presigned("none", time.Hour)), inspect.CheckOptions{})
		require.ErrorContains(t, f.Err, "404 Not Found (NoSuchKey")
	})
}
