//go:build !js

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/browsertest"
	"windmp/internal/webtest"
)

// samples is a folder with a file that is refused, full.dmp, and one that is taken, with the
// small dump that the command makes of it.
func samples(t *testing.T) (folder string, small []byte) {
	t.Helper()
	folder = t.TempDir()
	crashed := filepath.Join(folder, "crashed.vmcore")
	require.NoError(t, os.WriteFile(crashed, sample(t, "stack-trap-2cpu.vmcore.gz"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "cut.vmcore"), sample(t, "live-2cpu-cut.vmcore.gz"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "full.dmp"), sample(t, "live-2cpu.win-dmp.gz"), 0o600))
	return folder, writeSmall(t, crashed)
}

// The package, packed and installed, has what its README says and nothing more, and its
// types compile in a program of somebody else's, strictly.
func TestPackage(t *testing.T) {
	t.Parallel()
	folder := element(t)
	var have []string
	require.NoError(t, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(folder, path)
			have = append(have, filepath.ToSlash(name))
		}
		return err
	}))
	assert.Equal(t, []string{
		"LICENSE", "README.md", "chunk.js", "module.js", "package.json",
		"types/check.d.ts", "types/document.d.ts", "types/host.d.ts", "types/index.d.ts", "types/texts.d.ts", "types/types.d.ts",
		"windmp-check.js",
	}, have)

	program := filepath.Join(folder, "..", "..", "usage.ts")
	text, err := os.ReadFile(filepath.Join(root, "web", "test", "usage.ts"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, text, 0o600))
	tsc, err := filepath.Abs(filepath.Join(root, "web", "node_modules", ".bin", "tsc"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), tsc, "--noEmit", "--strict", "--skipDefaultLibCheck", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable", program)
	cmd.Dir = filepath.Dir(program)
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err, string(out))
}

// What the README of the package says is there: each event, attribute and message.
func TestPackageReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "web", "npm", "README.md"))
	require.NoError(t, err)
	protocol, err := os.ReadFile(filepath.Join(root, "web", "element", "protocol.ts"))
	require.NoError(t, err)
	names := 0
	for line := range strings.Lines(string(protocol)) {
		if _, list, ok := strings.Cut(line, " = ["); ok {
			list, _, _ = strings.Cut(list, "]")
			for name := range strings.SplitSeq(list, ", ") {
				assert.Contains(t, string(readme), "| `"+strings.Trim(name, `"`)+"` |")
				names++
			}
		}
	}
	assert.Equal(t, 10, names)
}

// sent checks that one form was sent, with the small dump that the command makes.
func sent(t *testing.T, tickets string, small []byte) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(tickets, "ticket-*"))
	require.NoError(t, err)
	require.Len(t, list, 1, "one form was sent")
	got, err := os.ReadFile(filepath.Join(list[0], "small.dmp"))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(small, got), "the small dump is the command's")
	validCheck(t, filepath.Join(list[0], "check.json"))
}

// The server of the form believes no browser.
func TestUploadFormForged(t *testing.T) {
	t.Parallel()
	_, small := samples(t)
	tickets := t.TempDir()
	server := uploadForm(t, tickets)
	for name, forged := range map[string]map[string][]byte{
		"no dump":         {"dump-report": []byte("{}")},
		"no small dump":   {"dump-report": []byte("{}"), "dump": sample(t, "live-2cpu.win-dmp.gz")},
		"one that is cut": {"dump-report": []byte("{}"), "dump": small[:len(small)/2]},
	} {
		assert.Equal(t, http.StatusUnprocessableEntity, post(t, server.URL+"/tickets", forged), name)
	}
	list, err := os.ReadDir(tickets)
	require.NoError(t, err)
	assert.Empty(t, list, "nothing of what was refused is kept")
}

// formServer is the example's server, built once for all tests.
var formServer = sync.OnceValues(func() (string, error) {
	dir, err := shared()
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "upload-form.exe")
	out, err := exec.Command("go", "build", "-o", program, filepath.Join(root, "examples", "upload-form")).CombinedOutput()
	_, _ = os.Stdout.Write(out)
	return program, err
})

// uploadForm runs the example's server.
func uploadForm(t *testing.T, tickets string) *webtest.Server {
	t.Helper()
	folder := element(t)
	program, err := formServer()
	require.NoError(t, err)
	return webtest.Start(t, tickets, func(port int) *exec.Cmd {
		return exec.Command(program, "-listen", "127.0.0.1:"+strconv.Itoa(port), "-element", folder, "-tickets", tickets)
	})
}

// post sends a form with these files, and returns the answer's status.
func post(t *testing.T, url string, files map[string][]byte) int {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for field, data := range files {
		w, err := form.CreateFormFile(field, field)
		require.NoError(t, err)
		_, _ = w.Write(data) // to memory
	}
	require.NoError(t, form.Close())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, &body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", form.FormDataContentType())
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

// validCheck holds a document to its schema.
func validCheck(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "schema", "check-v1.json"))
	require.NoError(t, err)
	var schema jsonschema.Schema
	require.NoError(t, json.Unmarshal(text, &schema))
	resolved, err := schema.Resolve(nil)
	require.NoError(t, err)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var document any
	require.NoError(t, json.Unmarshal(b, &document))
	require.NoError(t, resolved.Validate(document))
	var head struct{ Schema, Verdict string }
	require.NoError(t, json.Unmarshal(b, &head))
	assert.Equal(t, "windmp/check/v1", head.Schema)
	assert.Equal(t, "OK", head.Verdict)
}

var updateScreens = flag.Bool("update-screens", false, "make the pictures of pages in docs/screens anew")

// The pictures of pages, which no two machines make alike: they are looked at.
func TestScreens(t *testing.T) {
	if !*updateScreens {
		t.Skip("only with -update-screens")
	}
	page := site(t)
	files, _ := samples(t)
	require.NoError(t, os.WriteFile(filepath.Join(files, "guest.vmcore"), sample(t, "guest-bsod.vmcore"), 0o600))
	screens, err := filepath.Abs(filepath.Join(root, "docs", "screens"))
	require.NoError(t, err)
	browsertest.Start(t, root, "chromium").Run(t, "screens.mjs", page, uploadForm(t, t.TempDir()).URL, files, screens)
}
