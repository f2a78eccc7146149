package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"windmp/convert/finding"
	"windmp/convert/report"
)

// document is the one JSON document of a run.
type document struct {
	header
	*report.Report
	// Error stands in for the report's after a usage error, when there is none.
	Error *report.Error `json:"error,omitempty"`
}

// printable makes text safe for a terminal: what is not printable, such as the
// escape sequences that a guest can put into names, becomes an escape.
func printable(s string) string {
	q := strconv.QuoteToGraphic(s)
	q = q[1 : len(q)-1]
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\n`, "\n").Replace(q)
}

// printConvert prints the outcome of a conversion for people.
func printConvert(w *bytes.Buffer, r *report.Report) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = tw.Write([]byte(name + "\t" + printable(fmt.Sprintf(format, args...)) + "\n")) // into memory
	}
	row("input", "%s: %s, %s", r.Input.Path, r.Input.Description, ibytes(r.Input.Size))
	if said := damageOf(r.Findings); said != "" {
		row("damage", "%s", said)
	}
	row("guest", "%s", guestText(r.Guest))
	if bc := r.Guest.BugCheck; bc != nil {
		row("bug check", "%s", bugCheckText(bc))
	}
	if s := r.Guest.Signature; s != nil {
		row("signature", "%s", s.Text)
	}
	for _, c := range r.Processors {
		row(fmt.Sprintf("cpu %d", c.Index), "%s", cpuText(r.Guest.Machine, c))
	}
	row("output", "%s", outputText(r))
	if r.Output.SHA256 != "" {
		row("sha256", "%s", r.Output.SHA256)
	}
	_ = tw.Flush() // into memory
	if t := r.Output.Triage; t != nil {
		printTriage(w, t)
	}
	if r.Output.DryRun {
		printPlan(w, r)
	}
	printFindings(w, r)
}

func guestText(g *report.Guest) string {
	width := machineOf(g.Machine).Header.Qualifier
	if width != "" {
		width += ", "
	}
	s := fmt.Sprintf("Windows build %d, %s%d processors, kernel at %#x", g.Build, width, g.NumberProcessors, uint64(g.KernelBase))
	if g.SystemTime != "" {
		s += ", " + g.SystemTime
	}
	if g.UpTime > 0 {
		s += ", up " + time.Duration(g.UpTime*float64(time.Second)).Round(time.Second).String()
	}
	return s
}

func bugCheckText(bc *report.BugCheck) string {
	if !bc.Crashed {
		return fmt.Sprintf("none, the guest was live (%#x)", uint64(bc.Code))
	}
	p := bc.Parameters
	return fmt.Sprintf("%#x (%#x, %#x, %#x, %#x)", uint64(bc.Code), uint64(p[0]), uint64(p[1]), uint64(p[2]), uint64(p[3]))
}

func cpuText(machine string, c report.CPU) string {
	s := fmt.Sprintf("%s %#x, registers: %s", machineOf(machine).PointerName, uint64(c.IP), c.Contexts)
	if c.Note != "" {
		s += " (" + c.Note + ")"
	}
	if c.Differs {
		s += ", saved and vCPU differ"
	}
	if c.ShownFirst {
		s += ", shown first"
	}
	return s
}

func outputText(r *report.Report) string {
	o := r.Output
	verb := "written"
	if o.DryRun {
		verb = "would be written"
	}
	kind := o.DumpType + " dump"
	if o.DumpType == "" {
		kind = "ELF core"
	}
	if o.Triage != nil {
		return fmt.Sprintf("%s: %s, %s of %s, %s", o.Path, kind, ibytes(o.Size), ibytes(o.Triage.Limit), verb)
	}
	s := fmt.Sprintf("%s: %s, %s, %d pages in %d runs, %s", o.Path, kind, ibytes(o.Size), o.Pages, o.Runs, verb)
	if o.LeftOut > 0 {
		s += fmt.Sprintf("; %d pages of user memory left out", o.LeftOut)
	}
	if m := r.Memory; m.Missing > 0 {
		s += fmt.Sprintf("; %s of memory missing (%s)", ibytes(m.Missing), m.Policy)
	}
	return s
}

// printTriage prints what is in a small dump, for whoever must approve that it leaves
// the house.
func printTriage(w *bytes.Buffer, t *report.Triage) {
	fmt.Fprintln(w, "\nin it:")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, p := range t.Contents {
		left := ""
		if p.NoRoom > 0 {
			left += fmt.Sprintf("; no room for %s", ibytes(p.NoRoom))
		}
		if p.NotInMemory > 0 {
			left += fmt.Sprintf("; %s not in memory", ibytes(p.NotInMemory))
		}
		_, _ = tw.Write([]byte("  " + ibytes(p.Bytes) + "\t  " + p.What + left + "\n")) // into memory
	}
	_ = tw.Flush() // into memory
}

// printPlan prints what --dry-run is for: every change of header and memory.
func printPlan(w *bytes.Buffer, r *report.Report) {
	fmt.Fprintln(w, "\nheader fields that differ from the guest's:")
	for _, i := range r.Improvements {
		fmt.Fprintf(w, "  %s: %s -> %s (%s)\n", i.Field, printable(i.From), printable(i.To), printable(i.Reason))
	}
	fmt.Fprintln(w, "edits of guest memory:")
	for _, e := range r.Edits {
		fmt.Fprintf(w, "  VA %#x PA %#x %#x bytes: %s\n", uint64(e.VA), uint64(e.PA), e.Size, printable(e.Reason))
	}
}

// damageOf is what the findings say of a file that is cut or damaged, in short: it
// stands before what else there is to say. Empty for a sound file.
func damageOf(list []finding.Finding) string {
	for _, f := range list {
		if f.ID == finding.Truncated.ID() || f.ID == finding.DamagedPages.ID() {
			said, _, _ := strings.Cut(f.Message, " (") // the finding has the offsets
			return said
		}
	}
	return ""
}

// printFindings prints what is worse than info in full, and counts the rest.
func printFindings(w *bytes.Buffer, r *report.Report) {
	rest := 0
	for _, f := range r.Findings {
		if f.Severity == finding.SeverityInfo || f.Severity == finding.SeverityOK {
			if !r.Output.DryRun {
				rest++
				continue
			}
		}
		fmt.Fprintf(w, "%s %s: %s", f.ID, f.Severity, printable(withFlags(f.Message)))
		if f.Where != "" {
			fmt.Fprintf(w, " [%s]", printable(f.Where))
		}
		fmt.Fprintln(w)
		if f.Advice != "" {
			fmt.Fprintf(w, "  %s\n", printable(withFlags(f.Advice)))
		}
	}
	fmt.Fprintf(w, "verdict %s", r.Verdict)
	if rest > 0 {
		fmt.Fprintf(w, " (%d notes, see --dry-run or --json)", rest)
	}
	fmt.Fprintln(w)
}
