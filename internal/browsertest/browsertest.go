// Package browsertest runs tests in real browsers: scripts under web/test, which
// puppeteer drives.
//
// Node, the browsers and what package.json names are installed by scripts/deps. Without
// them such tests skip, and say so; they fail if WINDMP_REQUIRE_BROWSER=1 is set, and
// skip anyway with WINDMP_REQUIRE_BROWSER=never.
package browsertest

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// requireVariable makes what is missing a failure.
const requireVariable = "WINDMP_REQUIRE_BROWSER"

// patience is how long a script may take on a slow machine.
const patience = 3 * time.Minute

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

// Run runs a script of web/test in a browser, as [Require] has it. What the script prints
// is the test's log, and what it ends with its outcome.
func Run(t *testing.T, root, browser, script string, args ...string) {
	t.Helper()
	node, program := Require(t, root, browser)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{filepath.Join(root, "web", "test", script)}, args...)...)
	cmd.Env = append(os.Environ(), "WINDMP_BROWSER="+browser, "WINDMP_BROWSER_PROGRAM="+program)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("%s in %s: %v", script, browser, err)
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
