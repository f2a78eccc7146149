package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"windmp/cmd/windmp/internal/sourceflag"
)

// A session is a process that runs commands of scripts and tests, one after the other, as
// main does, each in a folder and with variables of its own: to begin a process takes
// longer than most commands do. A command about the process itself, its standard streams
// or its end, is for exec.
type session struct {
	requests *json.Encoder
	answers  *json.Decoder
	end      func()
}

// sessionName is the name of the program that serves one.
const sessionName = "windmp-session"

// sessionRun is one command.
type sessionRun struct {
	Dir     string            // that it runs in
	Vars    map[string]string // of its environment
	Args    []string
	Procs   int // processors that it uses, 0 for all
	Streams sessionStreams
	Columns int // of a terminal
}

// sessionStreams are what standard output and error of a command are.
type sessionStreams string

const (
	apart            sessionStreams = ""       // a pipe each
	joined           sessionStreams = "joined" // one pipe
	onTerminal       sessionStreams = "all"    // one terminal
	errorsOnTerminal sessionStreams = "errors" // a pipe, and a terminal for errors
)

// sessionEnd is what a command printed, and its exit code. What went to one stream is
// standard output.
type sessionEnd struct {
	Code           int
	Stdout, Stderr []byte
}

// idle are the sessions that nobody uses.
var idle struct {
	sync.Mutex
	list []*session
}

// inSession runs a command in a session that is idle, or in a new one.
func inSession(r sessionRun) (end sessionEnd, err error) {
	s, err := takeSession()
	if err != nil {
		return end, err
	}
	err = errors.Join(s.requests.Encode(r), s.answers.Decode(&end))
	if err != nil {
		s.end()
		return end, err
	}
	idle.Lock()
	defer idle.Unlock()
	idle.list = append(idle.list, s)
	return end, nil
}

func takeSession() (*session, error) {
	idle.Lock()
	defer idle.Unlock()
	if last := len(idle.list) - 1; last >= 0 {
		s := idle.list[last]
		idle.list = idle.list[:last]
		return s, nil
	}
	return newSession()
}

func newSession() (*session, error) {
	name, err := exec.LookPath(sessionName)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &session{json.NewEncoder(in), json.NewDecoder(out), func() { _, _ = in.Close(), cmd.Wait() }}, cmd.Start()
}

// withSessions ends the sessions behind the tests: Windows does not remove a program that
// runs.
type withSessions struct{ testscript.TestingM }

func (m withSessions) Run() int {
	defer func() {
		for _, s := range idle.list {
			s.end()
		}
	}()
	return m.TestingM.Run()
}

// processEnv is the environment of windmp as a process of its own: most end before there is
// garbage worth collecting, and to begin with that takes a third of their time.
func processEnv(more ...string) []string {
	return append(append(os.Environ(), "GOGC=off", "GOMEMLIMIT=128MiB"), more...)
}

// scriptRun is a command of a script, in the folder and the environment of the script.
func scriptRun(ts *testscript.TestScript, args []string) sessionRun {
	vars := map[string]string{}
	for _, name := range scriptVariables() {
		vars[name] = ts.Getenv(name)
	}
	return sessionRun{Dir: ts.MkAbs("."), Vars: vars, Args: args}
}

// runForScript runs a command of a script, whose next lines see what it printed.
func runForScript(ts *testscript.TestScript, r sessionRun) (code int) {
	end, err := inSession(r)
	ts.Check(err)
	_, errOut := ts.Stdout().Write(end.Stdout)
	_, errErr := ts.Stderr().Write(end.Stderr)
	ts.Check(errors.Join(errOut, errErr))
	return end.Code
}

// scriptVariables are those that scripts have values of their own for.
func scriptVariables() []string {
	list := []string{"TMPDIR", "TMP", sourceflag.HeadersVariable}
	for _, flag := range ofPipelines {
		list = append(list, variable(flag))
	}
	return list
}

// serveSession is the process: it ends with its standard input.
func serveSession() {
	signal.Ignore(syscall.SIGPIPE) // as main does
	requests, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r sessionRun
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			os.Exit(0)
		} else if err != nil {
			panic(err)
		}
		end, err := r.run()
		if err := errors.Join(err, answers.Encode(end)); err != nil {
			panic(err)
		}
	}
}

// run runs one command, and goes back to the folder and the environment that there were.
func (r sessionRun) run() (end sessionEnd, err error) {
	leave, err := r.enter()
	defer func() { err = errors.Join(err, leave()) }()
	if err != nil {
		return end, err
	}
	if r.Procs > 0 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(r.Procs))
	}
	stdout, stderr, printed, err := r.open()
	if err != nil {
		return end, err
	}
	code := run(r.Args, stdout, stderr)
	end, err = printed()
	end.Code = code
	return end, err
}

// enter makes the folder and the variables of a command the process's own, and leave those
// that were before.
func (r sessionRun) enter() (leave func() error, err error) {
	home, err := os.Getwd()
	back := []func() error{func() error { return os.Chdir(home) }}
	leave = func() (err error) {
		for _, f := range back {
			err = errors.Join(err, f())
		}
		return err
	}
	err = errors.Join(err, os.Chdir(r.Dir))
	for name, value := range r.Vars {
		before, was := os.LookupEnv(name)
		back = append(back, func() error {
			if was {
				return os.Setenv(name, before)
			}
			return os.Unsetenv(name)
		})
		err = errors.Join(err, os.Setenv(name, value))
	}
	return leave, err
}

// open opens the streams of a command; printed closes them, and returns what was written.
func (r sessionRun) open() (stdout, stderr *os.File, printed func() (sessionEnd, error), err error) {
	open := func(terminal bool) (*os.File, func() ([]byte, error)) {
		from, to, errOpen := os.Pipe()
		if terminal {
			from, to, errOpen = openTerminal(r.Columns)
		}
		err = errors.Join(err, errOpen)
		return to, readAll(from, to)
	}
	stdout, out := open(r.Streams == onTerminal)
	stderr, complaints := stdout, func() (b []byte, err error) { return }
	if r.Streams == apart || r.Streams == errorsOnTerminal {
		stderr, complaints = open(r.Streams == errorsOnTerminal)
	}
	return stdout, stderr, func() (end sessionEnd, err error) {
		var errOut, errErr error
		end.Stdout, errOut = out()
		end.Stderr, errErr = complaints()
		return end, errors.Join(errOut, errErr)
	}, err
}

// openTerminal opens a pseudo terminal of some columns: what is written to the one end
// can be read from the other.
func openTerminal(columns int) (from, to *os.File, err error) {
	from, to, err = pty.Open()
	if err != nil {
		return nil, nil, err
	}
	return from, to, pty.Setsize(from, &pty.Winsize{Rows: 50, Cols: uint16(columns)})
}

// readAll reads what is written to the other end of a pipe or a terminal; end closes both
// and returns it.
func readAll(from, to *os.File) (end func() ([]byte, error)) {
	type read struct {
		b   []byte
		err error
	}
	all := make(chan read, 1)
	go func() {
		b, err := io.ReadAll(from)
		if errors.Is(err, syscall.EIO) { // a terminal that nobody writes to any more
			err = nil
		}
		all <- read{b, errors.Join(err, from.Close())}
	}()
	return func() ([]byte, error) {
		err := to.Close()
		got := <-all
		return got.b, errors.Join(err, got.err)
	}
}
