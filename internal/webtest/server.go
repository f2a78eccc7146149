package webtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// requireVariable turns a skip into a failure.
const requireVariable = "WINDMP_REQUIRE_SERVERS"

// missing skips a test, or fails it.
func missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv(requireVariable) == "1" {
		tb.Fatal(what)
	}
	tb.Skip(what)
}

// startWait is how long a server may take to listen.
const startWait = 30 * time.Second

// A Server is a program that listens on this machine.
type Server struct {
	// URL is where it listens, without a path.
	URL string
	// Dir is the folder that it serves.
	Dir string
}

// Start starts a program that listens on a port of its own, and ends it with the test.
func Start(tb testing.TB, dir string, command func(port int) *exec.Cmd) *Server {
	tb.Helper()
	port := freePort(tb)
	cmd := command(port)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended                //nolint:errcheck // killed
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for begun := time.Now(); ; {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return &Server{URL: "http://" + address, Dir: dir}
		}
		select {
		case err := <-ended:
			ended <- err
			tb.Fatalf("%s: %v\n%s", cmd.Path, err, said.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(begun) > startWait {
			tb.Fatalf("%s does not listen", cmd.Path)
		}
	}
}

// freePort is one that nobody listened on a moment ago.
func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only for its number
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatal(l.Addr())
	}
	return a.Port
}

// nginxConf is for the user who runs the test, in the foreground; the files below /slow/
// come at 8 MiB a second.
const nginxConf = `daemon off; master_process off; pid %[1]s/nginx.pid; error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
	server {
		listen 127.0.0.1:%[3]d;
		root %[2]s;
		location /slow/ { alias %[2]s/; limit_rate 8m; }
		location /whole/ { alias %[2]s/; max_ranges 0; }
	}
}
`

// Nginx serves a folder by nginx.
func Nginx(tb testing.TB, dir string) *Server {
	tb.Helper()
	if testing.Testing() && testing.Short() {
		tb.Skip("-short: NOT reading from nginx")
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx, err = exec.LookPath("/usr/sbin/nginx") // which is not in everybody's PATH
	}
	if err != nil {
		missing(tb, "nginx is missing: NOT reading from it (Debian: scripts/deps installs it)")
	}
	own := tb.TempDir()
	return Start(tb, dir, func(port int) *exec.Cmd {
		conf := filepath.Join(own, "nginx.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, own, dir, port), 0o600); err != nil {
			tb.Fatal(err)
		}
		return exec.Command(nginx, "-p", own, "-e", filepath.Join(own, "error.log"), "-c", conf) //nolint:gosec // the tests'
	})
}

// Credentials of the object store.
const (
	AccessKey = "AKIAWINDMPTESTS"
	secretKey = "a-secret-of-the-tests"
	// Bucket is the one bucket that there is.
	Bucket = "dumps"
)

// gateway is the program of the object store, built once.
var gateway = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Dir(string(bytes.TrimSpace(out)))
	// It stays where Go keeps what it builds, so that the next run finds it.
	cmd := exec.Command("go", "tool", "-modfile=testdata/objectstore/go.mod", "-n", "versitygw")
	cmd.Dir = root
	// For this machine, whatever the tests are built for: it does not compile with an
	// int of 32 bits.
	cmd.Env = append(os.Environ(), "GOARCH=", "GOOS=")
	var said bytes.Buffer
	cmd.Stderr = &said
	if out, err = cmd.Output(); err != nil {
		return "", fmt.Errorf("%w: %s", err, said.String())
	}
	return string(bytes.TrimSpace(out)), nil
})

// ObjectStore serves a folder by an S3-compatible server: each folder in it is a bucket.
func ObjectStore(tb testing.TB, dir string) *Server {
	tb.Helper()
	if testing.Testing() && testing.Short() {
		tb.Skip("-short: NOT reading from an object store")
	}
	program, err := gateway()
	if err != nil {
		missing(tb, "versitygw can't be built, NOT reading from an object store: "+err.Error())
	}
	if err := os.MkdirAll(filepath.Join(dir, Bucket), 0o755); err != nil { //nolint:gosec // the tests'
		tb.Fatal(err)
	}
	return Start(tb, dir, func(port int) *exec.Cmd {
		cmd := exec.Command(program, "--port", fmt.Sprintf("127.0.0.1:%d", port), "--quiet", "posix", dir) //nolint:gosec // the tests'
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+AccessKey, "ROOT_SECRET_ACCESS_KEY="+secretKey)
		cmd.Dir = tb.TempDir()
		return cmd
	})
}
