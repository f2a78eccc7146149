package webtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tinyproxyConf is for the user who runs the test.
const tinyproxyConf = `Port %d
Listen 127.0.0.1
Allow 127.0.0.1
LogFile "%s"
LogLevel Connect
`

// A HTTPProxy is a real proxy on this machine.
type HTTPProxy struct {
	*Server
	log string
}

// Tinyproxy is one that passes on whatever it is asked for.
func Tinyproxy(tb testing.TB) *HTTPProxy {
	tb.Helper()
	program, err := exec.LookPath("tinyproxy")
	if err != nil {
		missing(tb, "tinyproxy is missing: NOT reading through a proxy (Debian: scripts/deps installs it)")
	}
	own := tb.TempDir()
	log := filepath.Join(own, "log")
	s := Start(tb, own, func(port int) *exec.Cmd {
		conf := filepath.Join(own, "tinyproxy.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, tinyproxyConf, port, log), 0o600); err != nil {
			tb.Fatal(err)
		}
		return exec.Command(program, "-d", "-c", conf) //nolint:gosec // the tests'
	})
	return &HTTPProxy{s, log}
}

// Asked counts the requests of a method ("GET", "CONNECT") that it was asked for.
func (p *HTTPProxy) Asked(tb testing.TB, method string) int {
	tb.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Count(string(b), "): "+method+" ")
}
