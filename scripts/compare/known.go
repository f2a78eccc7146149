//go:build unix

package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// knownList is docs/differences.md: text, and in its blocks of code one regular
// expression a line, which matches wanted differences (INPUT: COMMAND: WHAT).
type knownList []*knownLine

type knownLine struct {
	pattern *regexp.Regexp
	hits    int
}

func readKnown(path string) (knownList, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list knownList
	on := false
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "```") {
			on = !on
			continue
		}
		if !on || strings.TrimSpace(line) == "" {
			continue
		}
		pattern, err := regexp.Compile(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		list = append(list, &knownLine{pattern: pattern})
	}
	return list, nil
}

// explains says whether a line of the list matches the difference.
func (l knownList) explains(d difference) bool {
	for _, k := range l {
		if k.pattern.MatchString(d.String()) {
			k.hits++
			return true
		}
	}
	return false
}

// report prints the differences that the list does not explain, those that say the
// same of several cases as one.
func (l knownList) report(out *strings.Builder, found []difference, verbose bool) error {
	cases := map[string][]string{} // by what differs
	var order []string
	unexplained := 0
	for _, d := range found {
		if l.explains(d) {
			continue
		}
		unexplained++
		if cases[d.what] == nil {
			order = append(order, d.what)
		}
		cases[d.what] = append(cases[d.what], d.name)
	}
	const shown = 3
	for _, what := range order {
		names := cases[what]
		fmt.Fprintf(out, "\n%s\n", clip(what))
		for i, name := range names {
			if i == shown && !verbose {
				fmt.Fprintf(out, "    and %d more\n", len(names)-shown)
				break
			}
			fmt.Fprintf(out, "    %s\n", name)
		}
	}
	fmt.Fprintf(out, "\n%d differences, of them %d explained, %d not (%d kinds)\n", len(found), len(found)-unexplained, unexplained, len(order))
	if unexplained > 0 {
		return errDiffers
	}
	return nil
}

// reportUnused prints the lines of the list that explained nothing.
func (l knownList) reportUnused(out *strings.Builder) {
	for _, k := range l {
		if k.hits == 0 {
			fmt.Fprintf(out, "no difference matches any more: %s\n", k.pattern)
		}
	}
}

// clip shortens a line for people.
func clip(s string) string {
	const most = 400
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
