// Package browsertest runs tests in real browsers: scripts under web/test, which
// puppeteer drives, one browser for several of them.
//
// Node, the browsers and what package.json names are installed by scripts/deps. Without
// them such tests skip, and say so; they fail if WINDMP_REQUIRE_BROWSER=1 is set, and
// skip anyway with WINDMP_REQUIRE_BROWSER=never.
package browsertest

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// requireVariable makes what is missing a failure.
const requireVariable = "WINDMP_REQUIRE_BROWSER"

// browsers are the names under which systems have each.
var browsers = map[string][]string{
	"chromium": {"chromium", "chromium-browser", "google-chrome", "chrome"},
	"firefox":  {"firefox-esr", "firefox"},
}

// Require skips the test where a browser, chromium or firefox, or what drives it is
// missing, and in -short; root is the path of the repository. It returns Node and the
// browser.
func Require(t *testing.T, root, browser string) (node, program string) {
	t.Helper()
	if os.Getenv(requireVariable) == "never" {
		t.Skipf("%s=never: NOT TESTED IN A BROWSER", requireVariable)
	}
	if testing.Short() {
		t.Skip("a browser takes seconds to start")
	}
	node, program = find("node"), find(browsers[browser]...)
	_, err := os.Stat(filepath.Join(root, "web", "node_modules", "puppeteer-core"))
	switch {
	case node == "":
		missing(t, "node")
	case program == "":
		missing(t, browser)
	case err != nil:
		missing(t, "puppeteer-core in web/node_modules")
	}
	return node, program
}

// Browser is one that runs scripts of web/test, one after the other, each in a context of
// its own: a start takes as long as most of them.
type Browser struct {
	root, name, node, program string
	running                   *driver // nil when none runs
}

// Start returns a browser, as [Require] has it. It runs from the first script until the test
// ends.
func Start(t *testing.T, root, name string) *Browser {
	t.Helper()
	node, program := Require(t, root, name)
	b := &Browser{root: root, name: name, node: node, program: program}
	t.Cleanup(b.close)
	return b
}

// Run runs a script. What it notes is the test's log, and what it ends with its outcome.
// Behind one that failed, the next script gets another browser.
func (b *Browser) Run(t *testing.T, script string, args ...string) {
	t.Helper()
	if b.running == nil {
		d, err := start(b)
		if err != nil {
			t.Fatalf("starting node: %v", err)
		}
		b.running = d
	}
	said, err := b.running.run(script, args)
	t.Logf("%s", said)
	if err != nil {
		b.close()
		t.Fatalf("%s in %s: %v", script, b.name, err)
	}
}

func (b *Browser) close() {
	if b.running != nil {
		b.running.close()
		b.running = nil
	}
}

// Browsers are the names of all browsers, in which tests may run side by side.
func Browsers() []string {
	return slices.Sorted(maps.Keys(browsers))
}

// find is the first program that there is, empty for none.
func find(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// missing ends a test that can't run.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv(requireVariable) == "1" {
		t.Fatalf("%s is not installed, and %s=1 (scripts/deps installs it)", what, requireVariable)
	}
	t.Skipf("NOT TESTED IN A BROWSER: %s is not installed (scripts/deps installs it)", what)
}
