package textreport

import (
	"slices"
	"strconv"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// Check prints what there is to say of one file, or a line for each of several.
func Check(t *Text, r *inspect.CheckReport, verbose bool) {
	if len(r.Files) == 1 {
		printFileCheck(t, &r.Files[0], verbose)
		return
	}
	if verbose {
		for i := range r.Files {
			t.Blank()
			printFileCheck(t, &r.Files[i], verbose)
		}
		t.Blank()
	}
	table := t.Table(0, screen.Column{Name: "verdict", Judged: true}, screen.Column{Name: "file", Fit: screen.ClipFront}, screen.Column{Name: "size", Right: true},
		screen.Column{Name: "what it is, what is wrong", Fit: screen.Clip})
	for i := range r.Files {
		c := &r.Files[i]
		table.Row(c.Verdict, c.Path, sizeOf(c.Size), checkLine(t, c))
	}
	table.End()
	t.Blank()
	more := ""
	if r.Verdict != "OK" && !verbose {
		more = " (--verbose says more)"
	}
	t.Verdict("verdict", r.Verdict, "; %s: %s%s", binio.Plural(len(r.Files), "file"), countsText(&r.Counts), more)
}

// countsText are the verdicts that there are, and how many files have each.
func countsText(n *inspect.CheckCounts) string {
	var said []string
	for _, c := range []struct {
		n       int
		verdict string
	}{{n.OK, "OK"}, {n.Warn, "WARN"}, {n.Unknown, "UNKNOWN"}, {n.Fail, "FAIL"}} {
		if c.n > 0 {
			said = append(said, strconv.Itoa(c.n)+" "+c.verdict)
		}
	}
	return List(said...)
}

// checkLine is a file in a line: what is wrong with it, else what it is.
func checkLine(t *Text, c *inspect.FileCheck) string {
	if damage := damageOf(c.Findings); damage != nil {
		return damage.ID + " " + t.words(damage.Message) // what else is wrong may come of it
	}
	if c.Verdict != "OK" {
		if f := reasonOf(c); f != nil {
			return f.ID + " " + t.words(c.Reason)
		}
		return t.words(c.Reason)
	}
	if c.System == nil {
		return c.Description
	}
	return SystemAndCrash(c.System, c.Bug, c.Signature)
}

// reasonOf is the finding that decided the verdict, nil where an error did.
func reasonOf(c *inspect.FileCheck) *finding.Finding {
	if i := slices.IndexFunc(c.Findings, func(f finding.Finding) bool { return f.Message == c.Reason }); i >= 0 {
		return &c.Findings[i]
	}
	return nil
}

func printFileCheck(t *Text, c *inspect.FileCheck, verbose bool) {
	printInput(t, "file", &report.Input{Path: c.Path, Size: c.Size, Description: c.Description, State: c.State}, damageOf(c.Findings))
	if c.Verdict != "FAIL" || c.Dump != nil {
		printSystem(t, c.System)
	}
	if c.Bug != nil {
		t.Key("bug check", "%s", bugCheckText(c.Bug))
	}
	printSignature(t, c.Signature, false)
	if o := c.Output; o != nil {
		t.Key("converts", "to a %s dump of %s", o.DumpType, binio.Bytes(o.Size))
	}
	if c.SHA256 != "" {
		t.Key("SHA-256", "%s", c.SHA256)
	}
	if c.Error != nil && reasonOf(c) == nil {
		t.Key("error", "%s", t.words(c.Reason))
		if c.Error.Hint != "" {
			t.More("-> %s", t.words(c.Error.Hint))
		}
		if verbose && c.Error.Detail != "" {
			t.More("seen: %s", t.words(c.Error.Detail))
		}
	}
	rest := t.findings(c.Findings, verbose)
	t.verdict(c.Verdict, rest, "--verbose prints them")
}
