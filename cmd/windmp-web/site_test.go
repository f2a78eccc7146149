//go:build !js

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/internal/browsertest"
)

// folders are what tests share, removed at the end.
var folders struct {
	sync.Mutex
	all []string
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range folders.all {
		_ = os.RemoveAll(f)
	}
	os.Exit(code)
}

// shared is a folder that several tests look into.
func shared() (string, error) {
	folders.Lock()
	defer folders.Unlock()
	dir, err := os.MkdirTemp("", "windmp-web-")
	folders.all = append(folders.all, dir)
	return dir, err
}

// built is what scripts/web-package builds, once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := shared()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(root, "scripts", "web-package"), dir)
	cmd.Env = append(os.Environ(), "VERSION=1.2.3-test")
	out, err := cmd.CombinedOutput()
	_, _ = os.Stdout.Write(out)
	return dir, err
})

// installed is a folder of somebody else's, in which npm has installed the package.
var installed = sync.OnceValues(func() (string, error) {
	from, err := built()
	if err != nil {
		return "", err
	}
	dir, err := shared()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("npm", "install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", filepath.Join(from, "windmp-check-1.2.3-test.tgz"))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		_, _ = os.Stdout.Write(out)
		return "", err
	}
	return dir, nil
})

// site is the page's folder, element the element's, as npm has installed it.
func site(t *testing.T) string {
	t.Helper()
	browsertest.Require(t, root, "chromium")
	dir, err := built()
	require.NoError(t, err)
	return filepath.Join(dir, "web")
}

func element(t *testing.T) string {
	t.Helper()
	browsertest.Require(t, root, "chromium")
	dir, err := installed()
	require.NoError(t, err)
	return filepath.Join(dir, "node_modules", "windmp-check")
}

// writeSmall writes the small dump that the command makes of a file beside it.
func writeSmall(t *testing.T, path string) []byte {
	t.Helper()
	var small bytes.Buffer
	_, err := convert.Stream(t.Context(), source.Named(path), &small, convert.Options{Plan: plan.Options{Type: plan.OutputTriage}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".triage", small.Bytes(), 0o600))
	return small.Bytes()
}
