package qemutest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// qmpError is an error that QEMU answered to a command.
type qmpError struct {
	Class string `json:"class"`
	Desc  string `json:"desc"` // QEMU's own words
}

// Error returns QEMU's own words.
func (e *qmpError) Error() string { return e.Desc }

// errDied says that QEMU ended while a command was under way.
var errDied = errors.New("qemu ended during the command")

// qmpTimeout bounds one command; a dump of some tens of MiB takes less than a second.
const qmpTimeout = 2 * time.Minute

// qmp speaks QEMU's Machine Protocol (QEMU docs/interop/qmp-spec): one JSON object a
// line, one command at a time, events between answers left aside.
type qmp struct {
	conn net.Conn
	in   *bufio.Reader
}

// newQMP reads the greeting and leaves the negotiation mode.
func newQMP(conn net.Conn) (*qmp, error) {
	q := &qmp{conn: conn, in: bufio.NewReader(conn)}
	if err := conn.SetDeadline(time.Now().Add(qmpTimeout)); err != nil {
		return nil, err
	}
	if _, err := q.in.ReadBytes('\n'); err != nil {
		return nil, fmt.Errorf("qmp greeting: %w", err)
	}
	if err := q.run("qmp_capabilities", nil, nil); err != nil {
		return nil, err
	}
	return q, nil
}

// run executes a command and decodes what it returns into result, unless that is nil.
func (q *qmp) run(command string, arguments map[string]any, result any) error {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if err := q.conn.SetDeadline(time.Now().Add(qmpTimeout)); err != nil {
		return err
	}
	if _, err := q.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	answer, err := q.answer()
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer, result)
}

// answer skips events until a command's return value or error arrives.
func (q *qmp) answer() (json.RawMessage, error) {
	for {
		line, err := q.in.ReadBytes('\n')
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return nil, errDied
		}
		if err != nil {
			return nil, err
		}
		var message struct {
			Return json.RawMessage `json:"return"`
			Error  *qmpError       `json:"error"`
		}
		if err := json.Unmarshal(line, &message); err != nil {
			return nil, err
		}
		if message.Error != nil {
			return nil, message.Error
		}
		if message.Return != nil {
			return message.Return, nil
		}
	}
}
