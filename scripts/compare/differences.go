//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// difference is one thing that the two programs do differently.
type difference struct {
	name string // of the case
	what string // where, and from what to what
}

func (d difference) String() string { return d.name + ": " + d.what }

// differences compares what two runs left.
func differences(a, b *outcome) ([]difference, error) {
	var list []string
	if a.code != b.code {
		list = append(list, fmt.Sprintf("exit code: %s -> %s", a.code, b.code))
	}
	list = append(list, inContent("stdout", a.stdout, b.stdout)...)
	list = append(list, inContent("stderr", a.stderr, b.stderr)...)
	names := maps.Clone(a.files)
	maps.Copy(names, b.files)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch {
		case b.files[name] == "":
			list = append(list, name+": is not written any more")
		case a.files[name] == "":
			list = append(list, name+": is written")
		default:
			if a.modes[name] != b.modes[name] {
				list = append(list, fmt.Sprintf("%s: mode %v -> %v", name, a.modes[name], b.modes[name]))
			}
			more, err := inFiles(name, a.files[name], b.files[name])
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
	}
	found := make([]difference, 0, len(list))
	for _, what := range list {
		found = append(found, difference{what: what})
	}
	return found, nil
}

// inFiles compares two files; of packed ones what is in them, since packers may
// differ in how well they do. What differs at each run is left out, as of what is printed.
func inFiles(name, a, b string) ([]string, error) {
	left, err := os.ReadFile(a)
	if err != nil {
		return nil, err
	}
	right, err := os.ReadFile(b)
	if err != nil || bytes.Equal(left, right) {
		return nil, err
	}
	if packed(name) {
		if left, err = unpack(name, left); err != nil {
			return nil, err
		}
		if right, err = unpack(name, right); err != nil {
			return nil, err
		}
	}
	return inContent(name, settle(left), settle(right)), nil
}

// inContent compares JSON by its values, text by its lines, other data by its bytes.
func inContent(where string, a, b []byte) []string {
	if bytes.Equal(a, b) {
		return nil
	}
	var left, right any
	switch {
	case json.Unmarshal(a, &left) == nil && json.Unmarshal(b, &right) == nil:
		list := inValues("$", left, right)
		if len(list) == 0 {
			list = []string{"$: the same values, written otherwise"}
		}
		return prefix(where+" ", list)
	case isText(a) && isText(b):
		return prefix(where+" ", inLines(a, b))
	}
	return prefix(where+": ", inBytes(a, b))
}

func isText(b []byte) bool { return len(b) < 1<<20 && utf8.Valid(b) && !bytes.ContainsRune(b, 0) }

func prefix(with string, list []string) []string {
	for i := range list {
		list[i] = with + list[i]
	}
	return list
}

// inBytes says how long both are and where they differ.
func inBytes(a, b []byte) []string {
	var list []string
	if len(a) != len(b) {
		list = append(list, fmt.Sprintf("size %#x -> %#x", len(a), len(b)))
	}
	const shown = 6
	var ranges []string
	n := 0
	for i := 0; i < min(len(a), len(b)); i++ {
		if a[i] == b[i] {
			continue
		}
		start := i
		for i < min(len(a), len(b)) && a[i] != b[i] {
			i++
		}
		if n++; n <= shown {
			end := min(i, start+8)
			ranges = append(ranges, fmt.Sprintf("%#x %x -> %x", start, a[start:end], b[start:end]))
		}
	}
	if n > 0 {
		list = append(list, fmt.Sprintf("%d ranges differ: %s", n, strings.Join(ranges, ", ")))
	}
	return list
}

// inValues compares two values of JSON; at is their path.
func inValues(at string, a, b any) []string {
	left, isObject := a.(map[string]any)
	right, both := b.(map[string]any)
	if isObject && both {
		return inObjects(at, left, right)
	}
	before, isArray := a.([]any)
	after, both := b.([]any)
	if isArray && both {
		return inArrays(at, before, after)
	}
	if x, y := canonical(a), canonical(b); x != y {
		return []string{fmt.Sprintf("%s: %s -> %s", at, x, y)}
	}
	return nil
}

func inObjects(at string, a, b map[string]any) []string {
	names := maps.Clone(a)
	maps.Copy(names, b)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		x, was := a[name]
		y, is := b[name]
		switch {
		case !was:
			list = append(list, fmt.Sprintf("+%s.%s: %s", at, name, canonical(y)))
		case !is:
			list = append(list, fmt.Sprintf("-%s.%s: %s", at, name, canonical(x)))
		default:
			list = append(list, inValues(at+"."+name, x, y)...)
		}
	}
	return list
}

// inArrays compares arrays of the same length element by element, if they are not
// of findings, and says of others what has come and gone.
func inArrays(at string, a, b []any) []string {
	if len(a) == len(b) && !strings.HasSuffix(at, ".findings") {
		list := make([]string, 0, len(a))
		for i := range a {
			list = append(list, inValues(at+"["+strconv.Itoa(i)+"]", a[i], b[i])...)
		}
		return list
	}
	var left, right []string
	for _, v := range a {
		left = append(left, canonical(v))
	}
	for _, v := range b {
		right = append(right, canonical(v))
	}
	return prefix(at+" ", lines(left, right))
}

// canonical writes a value in one way.
func canonical(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func inLines(a, b []byte) []string {
	list := lines(strings.Split(string(a), "\n"), strings.Split(string(b), "\n"))
	if len(list) == 0 {
		list = []string{"the order of lines differs"}
	}
	return list
}

// lines says what went (-) and came (+) by a longest common subsequence.
func lines(a, b []string) []string {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	const most = 2000 // the table below is the product
	if len(a) > most || len(b) > most {
		return []string{fmt.Sprintf("%d lines -> %d others", len(a), len(b))}
	}
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var list []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			list = append(list, "-"+a[i])
			i++
		default:
			list = append(list, "+"+b[j])
			j++
		}
	}
	return list
}
