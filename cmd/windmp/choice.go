package main

import (
	"errors"
	"slices"
	"strings"
)

// choice is a flag's value: one of some words, the first if not given.
type choice struct {
	value string
	words []string
}

func newChoice(words []string) choice { return choice{words[0], words} }

// String is the value.
func (c *choice) String() string { return c.value }

// Set takes one of the words.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return errors.New("not one of " + strings.Join(c.words, ", "))
	}
	c.value = s
	return nil
}

// Type names the value in the help.
func (c *choice) Type() string { return "string" }
