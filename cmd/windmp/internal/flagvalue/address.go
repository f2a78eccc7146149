package flagvalue

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"windmp/convert/stage"
)

// Address is a flag's value: a hexadecimal address as debuggers print it, with or
// without 0x, with or without WinDbg's grave accent in the middle.
type Address uint64

// String is the flag's default, for its help.
func (a *Address) String() string {
	if *a == 0 {
		return ""
	}
	return "0x" + strconv.FormatUint(uint64(*a), 16)
}

// Set parses a value.
func (a *Address) Set(s string) error {
	digits := strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(s), "0x"), "`", "")
	v, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || v == 0 {
		return errors.New("want a hexadecimal address that is not 0, with or without 0x")
	}
	*a = Address(v)
	return nil
}

// Type names the value in the help.
func (a *Address) Type() string { return "address" }

// ParseVA is as the flag's type, but takes 0.
func ParseVA(s string) (uint64, error) {
	var a Address
	if strings.Trim(strings.TrimPrefix(strings.ToLower(s), "0x"), "0`") == "" && strings.HasSuffix(s, "0") {
		return 0, nil
	}
	if err := a.Set(s); err != nil {
		return 0, &stage.UsageError{Reason: fmt.Sprintf("%q is no address: want a hexadecimal one, with or without 0x", s)}
	}
	return uint64(a), nil
}
