package browsertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// patience is how long a script may take on a slow machine, with the browser's start, or
	// the browser to end.
	patience = 3 * time.Minute
	// grace is how long Node may take to end its browser when it is interrupted.
	grace = 10 * time.Second
)

// driver is web/test/tests.mjs, with its browser.
type driver struct {
	cmd    *exec.Cmd
	asks   io.WriteCloser
	says   *json.Decoder
	errors bytes.Buffer // what Node says when it breaks; read when it has ended
}

// request is what the driver is told, message what it says: a line of JSON each.
type (
	request struct {
		Script string   `json:"script"`
		Args   []string `json:"args"`
	}
	message struct {
		Said     string `json:"said"`
		Ended    bool   `json:"ended"`
		Failures int    `json:"failures"`
	}
)

func start(b *Browser) (*driver, error) {
	d := &driver{cmd: exec.Command(b.node, filepath.Join(b.root, "web", "test", "tests.mjs"))}
	d.cmd.Env = append(os.Environ(), "WINDMP_BROWSER="+b.name, "WINDMP_BROWSER_PROGRAM="+b.program)
	d.cmd.Stderr = &d.errors
	asks, err := d.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	says, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.asks, d.says = asks, json.NewDecoder(says)
	return d, d.cmd.Start()
}

// run runs a script, and returns what it said. After an error the driver is of no more use.
func (d *driver) run(script string, args []string) (said string, err error) {
	late := time.AfterFunc(patience, d.stop) // which ends what it says
	defer late.Stop()
	if err := json.NewEncoder(d.asks).Encode(request{script, args}); err != nil {
		return "", d.broken(err)
	}
	var lines strings.Builder
	for {
		var m message
		if err := d.says.Decode(&m); err != nil {
			return lines.String(), d.broken(err)
		}
		switch {
		case !m.Ended:
			fmt.Fprintln(&lines, m.Said)
		case m.Failures > 0:
			return lines.String(), fmt.Errorf("%d failures", m.Failures)
		default:
			return lines.String(), nil
		}
	}
}

// broken is the error of a driver that ended too early, with what it said of it.
func (d *driver) broken(err error) error {
	d.close()
	return fmt.Errorf("it ended, or took longer than %v: %w: %s", patience, err, d.errors.Bytes())
}

// close has the driver end its browser, and waits for both.
func (d *driver) close() {
	late := time.AfterFunc(patience, d.stop)
	defer late.Stop()
	_ = d.asks.Close() // that it is closed already is no matter
	_ = d.cmd.Wait()   // how it ends says nothing of the tests
}

// stop ends Node, which ends its browser, if it can.
func (d *driver) stop() {
	if d.cmd.Process.Signal(os.Interrupt) != nil {
		_ = d.cmd.Process.Kill() // it may have ended
		return
	}
	time.AfterFunc(grace, func() { _ = d.cmd.Process.Kill() })
}
