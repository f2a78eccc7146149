package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"windmp/cmd/windmp/internal/sourceflag"
)

// A session is a process that runs the commands of one script or test, one after the
// other, as main does: to begin a process takes longer than most commands do. A command
// about the process itself, its standard streams or its end, is for exec.
type session struct {
	requests *json.Encoder
	answers  *json.Decoder
}

// sessionName is the name of the program that serves one.
const sessionName = "windmp-session"

// sessionKey finds a script's session.
type sessionKey struct{}

// sessionRun is one command, the folder that it runs in, and variables of its environment.
type sessionRun struct {
	Dir  string
	Vars map[string]string
	Args []string
}

// sessionEnd is what a command printed, and its exit code.
type sessionEnd struct {
	Code           int
	Stdout, Stderr []byte
}

// newSession begins a session in a folder and an environment.
func newSession(dir string, vars []string) (s *session, end func(), err error) {
	name, err := exec.LookPath(sessionName)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(name)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, vars, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return &session{json.NewEncoder(in), json.NewDecoder(out)}, func() { _, _ = in.Close(), cmd.Wait() }, nil
}

// do runs a command in it.
func (s *session) do(r sessionRun) (end sessionEnd, err error) {
	if err := s.requests.Encode(r); err != nil {
		return end, err
	}
	err = s.answers.Decode(&end)
	return end, err
}

// startSession begins the session of a script, and ends it with the script.
func startSession(env *testscript.Env) error {
	s, end, err := newSession(env.WorkDir, env.Vars)
	if err != nil {
		return err
	}
	env.Defer(end)
	env.Values[sessionKey{}] = s
	return nil
}

// inSession runs a command in the session of a script, whose next lines see what it printed.
func inSession(ts *testscript.TestScript, args []string) (code int) {
	s, _ := ts.Value(sessionKey{}).(*session)
	vars := map[string]string{}
	for _, name := range scriptVariables() {
		vars[name] = ts.Getenv(name)
	}
	end, err := s.do(sessionRun{ts.MkAbs("."), vars, args})
	ts.Check(err)
	_, errOut := ts.Stdout().Write(end.Stdout)
	_, errErr := ts.Stderr().Write(end.Stderr)
	ts.Check(errors.Join(errOut, errErr))
	return end.Code
}

// scriptVariables are those that scripts change.
func scriptVariables() []string {
	list := []string{"TMPDIR", sourceflag.HeadersVariable}
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

// run runs one command, whose standard streams are pipes.
func (r sessionRun) run() (end sessionEnd, err error) {
	errs := []error{os.Chdir(r.Dir)}
	for name, value := range r.Vars {
		errs = append(errs, os.Setenv(name, value))
	}
	stdout, printed, errOut := pipeToMemory()
	stderr, complained, errErr := pipeToMemory()
	if err := errors.Join(append(errs, errOut, errErr)...); err != nil {
		return end, err
	}
	end.Code = run(r.Args, stdout, stderr)
	end.Stdout, errOut = printed()
	end.Stderr, errErr = complained()
	return end, errors.Join(errOut, errErr)
}

// pipeToMemory is a pipe, and what closes it and returns what was written to it.
func pipeToMemory() (w *os.File, end func() ([]byte, error), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	type read struct {
		b   []byte
		err error
	}
	all := make(chan read, 1)
	go func() {
		b, err := io.ReadAll(r)
		all <- read{b, errors.Join(err, r.Close())}
	}()
	return w, func() ([]byte, error) {
		err := w.Close()
		got := <-all
		return got.b, errors.Join(err, got.err)
	}, nil
}
