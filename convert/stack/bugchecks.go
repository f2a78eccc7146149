package stack

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

//go:embed bugchecks.txt
var bugChecksText string

// meaning is what is known of a bug check: which parameter, 1 to 4, holds what, 0 for
// none, and what it says of whoever is found.
type meaning struct {
	instruction, context, trap, calledTrap, record int
	processor, thread, driver                      int
	exception, victim, victimInCore, interrupted   bool
}

// meanings is the table of bugchecks.txt, whose lines a test holds to its form.
var meanings = sync.OnceValue(func() map[uint32]meaning {
	table := map[uint32]meaning{}
	for line := range strings.Lines(bugChecksText) {
		if code, m, err := parseMeaning(line); err == nil {
			table[code] = m
		}
	}
	return table
})

// meaningOf is what is known of a bug check, by the code that KeBugCheckEx got.
func meaningOf(code uint32) meaning { return meanings()[calledCode(code)] }

// errNoLine is for a line that holds nothing.
type errNoLine struct{ line string }

func (e errNoLine) Error() string { return fmt.Sprintf("%q is no line of the table", e.line) }

// parseMeaning reads a line.
func parseMeaning(line string) (uint32, meaning, error) {
	var m meaning
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	if len(words) < 2 {
		return 0, m, errNoLine{line}
	}
	code, err := strconv.ParseUint(words[0], 16, 32)
	if err != nil {
		return 0, m, errNoLine{line}
	}
	numbers := map[string]*int{
		"instruction": &m.instruction, "context": &m.context, "trap": &m.trap, "called-trap": &m.calledTrap, "record": &m.record,
		"processor": &m.processor, "thread": &m.thread, "driver": &m.driver,
	}
	marks := map[string]*bool{
		"exception": &m.exception, "interrupted": &m.interrupted,
		"victim": &m.victim, "victim-in-core": &m.victimInCore,
	}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case marks[word] != nil:
			*marks[word] = true
		case numbers[name] != nil && len(value) == 1 && value >= "1" && value <= "4":
			*numbers[name] = int(value[0] - '0')
		default:
			return 0, m, errNoLine{line}
		}
	}
	return uint32(code), m, nil
}
