package textreport

import (
	"fmt"
	"strconv"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/internal/binio"
	"windmp/internal/pack"
)

// Convert prints the outcome of a conversion for people.
func Convert(t *Text, r *report.Report, verbose bool) {
	everything := verbose || r.Output.DryRun
	printInput(t, "input", &r.Input, damageOf(r.Findings))
	printSystem(t, r.System)
	if r.Bug != nil {
		t.Key("bug check", "%s", bugCheckText(r.Bug))
	}
	printSignature(t, r.Signature(), false)
	printOutput(t, r)
	if everything {
		printProcessors(t, r)
		printTriage(t, r.Output.Triage)
	}
	if r.Output.DryRun {
		printPlan(t, r)
	}
	if everything {
		t.Blank()
	}
	rest := t.findings(r.Findings, everything)
	t.verdict(r.Verdict, rest, "--dry-run lists them")
	if next := nextStep(&r.Output); next != "" {
		t.Key("next", "%s", next)
	}
}

// printOutput says what was written, or would be.
func printOutput(t *Text, r *report.Report) {
	o := &r.Output
	t.Key("output", "%s", outputText(r))
	if o.LeftOut > 0 {
		t.More("%s of user memory left out", binio.Bytes(o.LeftOutBytes()))
	}
	if m := r.Memory; m != nil && m.Missing > 0 {
		t.More("%s: %s", missingText(m.Missing, m.Listed), missingWords[m.Policy])
	}
	if o.Written {
		t.More("written %s", List(storedText(o), speedText(o.Size, r.Seconds)))
	}
	if o.Exists {
		t.More("the file is there; --force replaces it")
	}
	if o.SHA256 != "" {
		t.Key("SHA-256", "%s", o.SHA256)
	}
}

// missingWords say what is done with memory that the file lacks.
var missingWords = map[report.MissingMode]string{
	report.MissingFail: "refused", report.MissingZero: "zeros in its place", report.MissingDrop: "left out of the dump",
}

// outputText is the output in a line.
func outputText(r *report.Report) string {
	o := &r.Output
	kind := o.DumpType + " dump"
	if o.DumpType == "" {
		kind = "ELF core"
	}
	size := binio.Bytes(o.Size)
	if o.Triage != nil {
		size = binio.PartOf(uint64(o.Size), uint64(o.Triage.Limit)) //nolint:gosec // sizes
	}
	name := o.Path
	if name == convert.Stdout {
		name = "standard output"
	}
	done := ""
	if o.DryRun {
		done = "would be written"
	}
	return List(name, kind, size, done)
}

// storedText is what the file takes, where that is not the dump's size.
func storedText(o *report.Output) string {
	switch {
	case o.FileSize == 0: // a stream
		return ""
	case o.Compression != pack.None:
		return fmt.Sprintf("as %s of %s", binio.Bytes(o.FileSize), o.Compression)
	case o.OnDisk > 0 && o.OnDisk < o.FileSize/10*9: // less would be said of every file
		return fmt.Sprintf("with holes, %s on disk", binio.Bytes(o.OnDisk))
	default:
		return ""
	}
}

// speedText is how long it took, and how fast that is.
func speedText(size int64, seconds float64) string {
	if seconds < 1 { // a rate would say nothing
		return "in less than a second"
	}
	took := binio.Span(seconds)
	if seconds < 10 {
		took = fmt.Sprintf("%.1f s", seconds)
	}
	return fmt.Sprintf("in %s, %s/s", took, binio.Bytes(int64(float64(size)/seconds)))
}

// nextStep is what to do with the output.
func nextStep(o *report.Output) string {
	if !o.Written {
		if o.DryRun && o.Path != convert.Stdout {
			return "run it without --dry-run to write " + o.Path
		}
		return ""
	}
	name := o.Path
	switch {
	case name == convert.Stdout:
		return ""
	case o.DumpType == "":
		return "open " + name + " in gdb, drgn or Volatility"
	case o.Compression == pack.None || o.Compression == pack.Zip: // which WinDbg unpacks
		return "open " + name + " in WinDbg"
	default:
		return "unpack " + name + ", then open it in WinDbg"
	}
}

// printProcessors says whose registers the dump shows.
func printProcessors(t *Text, r *report.Report) {
	if len(r.Processors) == 0 {
		return
	}
	t.machine = machine.OrFirst(r.Guest.Machine)
	t.Blank()
	table := t.Table(0, screen.Column{Name: "processor", Right: true}, screen.Column{Name: t.machine.PointerName}, screen.Column{Name: "registers"}, screen.Column{Name: "why", Fit: screen.Wrap})
	for _, c := range r.Processors {
		notes := make([]string, 0, 3)
		notes = append(notes, c.Note)
		if c.Differs {
			notes = append(notes, "saved and vCPU differ")
		}
		if c.ShownFirst {
			notes = append(notes, "shown first")
		}
		table.Row(strconv.Itoa(c.Index), t.address(c.IP), string(c.Contexts), List(notes...))
	}
	table.End()
}

// printTriage prints what is in a small dump, for whoever must approve that it leaves
// the house.
func printTriage(t *Text, r *report.Triage) {
	if r == nil {
		return
	}
	t.Heading("what is in it")
	table := t.Table(2, screen.Column{Right: true}, screen.Column{Fit: screen.Wrap})
	for _, p := range r.Contents {
		left := ""
		if p.NoRoom > 0 {
			left += fmt.Sprintf("; no room for %s", binio.Bytes(p.NoRoom))
		}
		if p.NotInMemory > 0 {
			left += fmt.Sprintf("; %s not in memory", binio.Bytes(p.NotInMemory))
		}
		table.Row(binio.Bytes(p.Bytes), p.What+left)
	}
	table.End()
}

// printPlan prints what --dry-run is for: every change of header and memory.
func printPlan(t *Text, r *report.Report) {
	if len(r.Improvements) > 0 {
		t.Heading("header fields that differ from the guest's")
		table := t.Table(2, screen.Column{}, screen.Column{Fit: screen.Wrap})
		for _, i := range r.Improvements {
			table.Row(i.Field, i.From+" -> "+i.To+": "+i.Reason)
		}
		table.End()
	}
	t.Heading("edits of guest memory")
	if len(r.Edits) == 0 {
		t.Note(2, "none")
	}
	table := t.Table(2, screen.Column{Name: "virtual"}, screen.Column{Name: "physical"}, screen.Column{Name: "size", Right: true}, screen.Column{Name: "why", Fit: screen.Wrap})
	for _, e := range r.Edits {
		table.Row(t.address(e.VA), t.physical(e.PA), binio.Bytes(int64(e.Size)), e.Reason)
	}
	table.End()
}

// ConvertLine says in a line what was converted, or what is wrong with it, as the table
// of a check does.
func ConvertLine(t *Text, r *report.Report) string {
	worst := damageOf(r.Findings)
	for i := range r.Findings {
		if f := &r.Findings[i]; worst == nil && f.Severity.Rank() > finding.SeverityInfo.Rank() {
			worst = f
		}
	}
	if worst != nil {
		return worst.ID + " " + t.words(worst.Message)
	}
	return SystemAndCrash(r.System, r.Bug, r.Signature())
}

// LogLine is a conversion in a line of a log.
func LogLine(r *report.Report) string {
	return List(outputText(r), "written", "SHA-256 "+r.Output.SHA256, "verdict "+r.Verdict)
}
