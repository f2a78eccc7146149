package main

import (
	"errors"
	"strconv"
	"strings"
)

// address is a flag's value: a hexadecimal address as debuggers print it, with or
// without 0x, with or without WinDbg's grave accent in the middle.
type address uint64

// String is the flag's default, for its help.
func (a *address) String() string {
	if *a == 0 {
		return ""
	}
	return "0x" + strconv.FormatUint(uint64(*a), 16)
}

// Set parses a value.
func (a *address) Set(s string) error {
	digits := strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(s), "0x"), "`", "")
	v, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || v == 0 {
		return errors.New("want a hexadecimal address that is not 0, with or without 0x")
	}
	*a = address(v)
	return nil
}

// Type names the value in the help.
func (a *address) Type() string { return "address" }
