package textreport

import (
	"cmp"
	"fmt"

	"windmp/cmd/windmp/internal/screen"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// What several commands say of a file, in the same words.

// printInput says what a file is.
func printInput(t *Text, key string, in *report.Input, damage *finding.Finding) {
	t.Key(key, "%s", List(in.Path, sizeOf(in.Size)))
	if in.Description != "" {
		t.More("%s", in.Description)
	}
	if said := stateText(in.State); said != "" {
		t.More("%s", said)
	}
	if damage != nil {
		t.Key("damage", "%s", damage.Message)
	}
}

// sizeOf is a file's size; empty for one that has none, as what is not there or is no file.
func sizeOf(n int64) string {
	if n == 0 {
		return ""
	}
	return binio.Bytes(n)
}

// stateText says what a saved state says of itself beside its description.
func stateText(s *report.State) string {
	if s == nil {
		return ""
	}
	behind := func(word, said string) string {
		if said == "" {
			return ""
		}
		return word + " " + said
	}
	return List(behind("machine", s.Guest), behind("snapshot", s.Snapshot), behind("saved", binio.MomentOf(s.Saved)), behind("packed by", s.Packing))
}

// systemName is the name of a Windows, of whatever build.
func systemName(s *report.System) string {
	return fmt.Sprintf("%s (build %d)", cmp.Or(s.Name, "Windows"), s.Build)
}

// printSystem says what Windows it is, and when it was.
func printSystem(t *Text, s *report.System) {
	if s == nil {
		return
	}
	t.Key("system", "%s", List(systemName(s), machine.OrFirst(s.Machine).Header.Qualifier, s.Product, binio.Plural(uint64(s.Processors), "processor")))
	if s.SystemTime != "" {
		up := ""
		if s.UpTime > 0 {
			up = "up " + binio.Span(s.UpTime)
		}
		t.Key("time", "%s", List(binio.MomentOf(s.SystemTime), up))
	}
}

// noBugCheck is said of a guest that did not crash.
const noBugCheck = "none, the guest was running"

// bugCheckText is a bug check in a line.
func bugCheckText(b *report.BugCheckDetail) string {
	switch {
	case b == nil:
		return "not known"
	case !b.Crashed:
		return noBugCheck
	case b.Name == "":
		return fmt.Sprintf("%#x", uint64(b.Code))
	default:
		return fmt.Sprintf("%#x %s", uint64(b.Code), b.Name)
	}
}

// printBugCheck prints a bug check with what it means.
func printBugCheck(t *Text, b *report.BugCheckDetail) {
	t.Key("bug check", "%s", bugCheckText(b))
	if b == nil || !b.Crashed {
		return
	}
	if b.Summary != "" {
		t.More("%s", b.Summary)
	}
	table := t.Table(screen.KeyWidth, screen.Column{}, screen.Column{}, screen.Column{Fit: screen.Wrap})
	for i, p := range b.Parameters {
		table.Row(fmt.Sprint(i+1), fmt.Sprintf("%#x", uint64(p.Value)), p.Meaning)
	}
	table.End()
}

// printSignature prints by what equal crashes are known, and with why, what it was made
// from.
func printSignature(t *Text, s *report.Signature, why bool) {
	if s == nil {
		return
	}
	t.Key("signature", "%s", s.Text)
	if !why {
		return
	}
	said := s.Reason
	if s.MayBeVictim {
		said += "; memory was found damaged: it may be the victim"
	}
	t.More("%s", said)
}

// printKernel prints the kernel's image and its symbols.
func printKernel(t *Text, k *inspect.ImageReport) {
	if k == nil {
		return
	}
	t.Key("kernel", "%s", List(fmt.Sprintf("%s at %#x", k.Name, uint64(k.Base)), binio.Bytes(uint64(k.Size)), k.FileVersion))
	if k.PDB != nil {
		t.More("%s %s, age %d", k.PDB.Name, k.PDB.GUID, k.PDB.Age)
	} else {
		t.More("no symbols: %s", k.Error)
	}
}

// SystemAndCrash says in a few words what Windows it is and what happened to it.
func SystemAndCrash(s *report.System, b *report.BugCheckDetail, signature *report.Signature) string {
	system, crash := "", ""
	if s != nil {
		system = cmp.Or(s.Name, systemName(s))
	}
	switch {
	case signature != nil:
		crash = signature.Text
	case b != nil && b.Crashed:
		crash = bugCheckText(b)
	case b != nil:
		crash = "running"
	}
	return List(system, crash)
}

// missingText is what of the guest's memory a file lacks.
func missingText(missing, listed uint64) string {
	return fmt.Sprintf("%s of the guest's memory not in the file", binio.PartOf(missing, listed))
}
