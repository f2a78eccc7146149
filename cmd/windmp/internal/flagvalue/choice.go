package flagvalue

import (
	"errors"
	"slices"
	"strings"
)

// Choice is a flag's value: one of some words, the first if not given.
type Choice struct {
	// Value is the word.
	Value string
	words []string
}

// NewChoice is a choice of words, of which the first is chosen.
func NewChoice(words []string) Choice { return Choice{words[0], words} }

// String is the value.
func (c *Choice) String() string { return c.Value }

// Set takes one of the words.
func (c *Choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return errors.New("not one of " + strings.Join(c.words, ", "))
	}
	c.Value = s
	return nil
}

// Type names the value in the help.
func (c *Choice) Type() string { return "string" }
