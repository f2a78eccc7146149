package htmlreport

import (
	"cmp"
	"fmt"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// verdict is what stands at the top of a file: the word, what it means for this file,
// and why.
type verdict struct {
	// Word is OK, WARN, UNKNOWN or FAIL; empty where nobody asked for one.
	Word, Class, Mark string
	// Headline is one sentence; Reason is why, Advice what can be done.
	Headline, Reason, Advice string
}

// marks are beside the words, for who does not see colours.
var marks = map[string]string{"OK": "✓", "WARN": "!", "UNKNOWN": "?", "FAIL": "✕"}

// subject is what all kinds of reports say of a file.
type subject struct {
	path      string
	size      int64
	verdict   string
	system    *report.System
	bug       *report.BugCheckDetail
	signature *report.Signature
	findings  []finding.Finding
	err       *report.Error
}

// subjectOf takes it from the report that there is.
func subjectOf(f *File) subject {
	var x subject
	if i := f.Info; i != nil {
		x = subject{i.Input.Path, i.Input.Size, "", i.System, i.Bug, i.Signature, i.Findings, i.Error}
	}
	if c := f.Check; c != nil {
		x = subject{c.Path, c.Size, c.Verdict, cmp.Or(c.System, x.system), cmp.Or(c.Bug, x.bug), cmp.Or(c.Signature, x.signature), c.Findings, c.Error}
	}
	if r := f.Convert; r != nil {
		x.path, x.size, x.verdict, x.findings, x.err = r.Input.Path, r.Input.Size, r.Verdict, r.Findings, r.Error
		if r.Guest != nil {
			x.signature = cmp.Or(r.Guest.Signature, x.signature)
		}
	}
	return x
}

// file is what the page says of one of the files.
func (b *builder) file(f *File, index, of int) *fileView {
	x := subjectOf(f)
	b.machine = machineOf(x.system)
	v := &fileView{Name: fileName(x.path), Verdict: b.verdict(f, &x)}
	prefix := ""
	if of > 1 {
		v.ID = fmt.Sprintf("f%d", index+1)
		prefix = v.ID + "-"
	}
	for _, s := range []*section{
		b.findings(x.findings), b.source(f, &x), b.crash(&x), b.stack(f.Info), b.written(f.Convert), b.memory(f), b.small(f),
		b.processors(f), b.modules(f.Info), b.processes(f.Info), b.unloaded(f.Info), b.changes(f.Convert),
	} {
		if s == nil {
			continue
		}
		s.ID = prefix + s.ID
		v.Sections = append(v.Sections, s)
	}
	return v
}

// verdict says it in a sentence.
func (b *builder) verdict(f *File, x *subject) *verdict {
	v := &verdict{Word: binio.Visible(x.verdict), Class: strings.ToLower(binio.Visible(x.verdict)), Mark: marks[x.verdict], Headline: b.headline(f, x)}
	if x.err != nil {
		v.Reason, v.Advice = b.text(x.err.Message), b.text(x.err.Hint)
	}
	// The worst finding says it better than the error does that it led to.
	worst := finding.Worst(x.findings)
	for _, w := range x.findings {
		if w.Severity == worst && worst.Rank() > finding.SeverityInfo.Rank() && x.verdict != "" {
			v.Reason, v.Advice = b.text(w.Message), b.text(w.Advice)
			break
		}
	}
	return v
}

// headline is what the verdict means for the file.
func (b *builder) headline(f *File, x *subject) string {
	switch {
	case f.Convert != nil:
		return binio.Visible(convertHeadline(f.Convert))
	case f.Check != nil && f.Check.Kind == "dump":
		return dumpHeadlines[x.verdict]
	case f.Check != nil && f.Check.Output != nil:
		said := fmt.Sprintf("It converts to a %s dump of %s", f.Check.Output.DumpType, binio.Bytes(f.Check.Output.Size))
		return binio.Visible(said) + coreEndings[x.verdict]
	case f.Check != nil:
		return coreHeadlines[x.verdict]
	case x.err != nil && x.system == nil:
		return "It could not be read."
	case x.system != nil:
		return systemLine(x.system) + ", " + happened(x)
	default:
		return "No Windows was found in it."
	}
}

// What a verdict means for a dump, for a memory image that was planned, and for others.
var (
	dumpHeadlines = map[string]string{
		"OK": "Debuggers open it.", "WARN": "Debuggers open it, and show less than they might.",
		"UNKNOWN": "It is not known whether debuggers open it.", "FAIL": "It is not worth opening.",
	}
	coreEndings = map[string]string{
		"OK": ".", "WARN": ", with a warning.", "UNKNOWN": ", and not everything about it is known.", "FAIL": ", which is of no use.",
	}
	coreHeadlines = map[string]string{
		"OK": "It looks sound.", "WARN": "It can be used, with a warning.",
		"UNKNOWN": "It is not known whether a dump can be made of it.", "FAIL": "No dump worth opening can be made of it.",
	}
)

// convertHeadline says what became of a conversion.
func convertHeadline(r *report.Report) string {
	kind := r.Output.DumpType + " dump"
	if r.Output.DumpType == "" {
		kind = "ELF core"
	}
	switch {
	case r.Output.Written:
		return fmt.Sprintf("The dump is written: a %s of %s.", kind, binio.Bytes(r.Output.Size))
	case r.Error == nil && r.Output.DryRun:
		return fmt.Sprintf("Nothing was written. It would be a %s of %s.", kind, binio.Bytes(r.Output.Size))
	default:
		return "No dump was written."
	}
}

// said is a finding.
type said struct{ ID, Severity, Class, Message, Where, Advice string }

// findings are those that matter, and the rest behind them.
func (b *builder) findings(list []finding.Finding) *section {
	var loud, notes []said
	for _, f := range list {
		severity := binio.Visible(string(f.Severity))
		s := said{ID: binio.Visible(f.ID), Severity: severity, Class: severity, Message: b.text(f.Message), Where: b.text(f.Where), Advice: b.text(f.Advice)}
		if f.Severity.Rank() > finding.SeverityInfo.Rank() {
			loud = append(loud, s)
		} else {
			notes = append(notes, s)
		}
	}
	if len(list) == 0 {
		return nil
	}
	s := &section{ID: "findings", Title: "Findings"}
	if len(loud) > 0 {
		s.Blocks = append(s.Blocks, block{Findings: loud})
	} else {
		s.Note = "Nothing speaks against the file."
	}
	if len(notes) > 0 {
		s.Blocks = append(s.Blocks, block{More: &more{Summary: binio.Plural(len(notes), "note"), Blocks: []block{{Findings: notes}}}})
	}
	return s
}
