package inspect

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path"
	"strings"

	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/machine"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/kdbg"
)

// SymbolsOptions choose what is listed.
type SymbolsOptions struct {
	// Server is the base of the symbol server's addresses; empty for none.
	Server string
	// KernelOnly leaves out everything but the kernel image itself.
	KernelOnly bool
	// Source and Guest are as those of [InfoOptions].
	Source source.Options
	Guest  guest.Options
}

// SymbolsReport lists what a symbol store needs for a dump.
type SymbolsReport struct {
	Input report.Input  `json:"input"`
	Error *report.Error `json:"error,omitempty"`
	// Modules has every loaded image, those too whose headers are not readable.
	Modules  []SymbolModule    `json:"modules"`
	Findings []finding.Finding `json:"findings"`
	// Machine is the guest's, nil where the file could not be opened.
	Machine *machine.Machine `json:"-"`
}

// SymbolModule is an image with its keys in a symbol store (dotnet/symstore,
// "SSQP key conventions").
type SymbolModule struct {
	ImageReport
	// Readable is true when both keys are known.
	Readable bool `json:"readable"`
	// PDBKey is NAME/GUIDAGE/NAME, ImageKey NAME/TIMESTAMPSIZE/NAME; empty when
	// not known.
	PDBKey   string `json:"pdb_key,omitempty"`
	ImageKey string `json:"image_key,omitempty"`
	PDBURL   string `json:"pdb_url,omitempty"`
	ImageURL string `json:"image_url,omitempty"`
}

// Validate returns a [*stage.UsageError] if the options make no sense for any file.
func (o *SymbolsOptions) Validate() error {
	return cmp.Or(checkServer(o.Server), o.Source.Validate(), o.Guest.Validate())
}

// newSymbols is a report in which nothing is said yet.
func newSymbols(in report.Input) *SymbolsReport {
	return &SymbolsReport{Input: in, Modules: []SymbolModule{}, Findings: []finding.Finding{}}
}

// Symbols lists the symbols of a file. The report is never nil, and the errors are
// those of [Info].
func Symbols(ctx context.Context, in source.Input, opt SymbolsOptions) (*SymbolsReport, error) {
	r := newSymbols(report.Input{Path: in.Path()})
	err := opt.Validate()
	if err == nil {
		err = look(ctx, in, counted(opt.Source, &r.Input), opt.Guest, func(f *found) { r.describe(f, opt) })
	}
	if cutShort(err) {
		r = newSymbols(opened(r.Input))
	}
	r.Error = report.OfError(err)
	return r, err
}

// checkServer refuses what can't be the base of an address.
func checkServer(server string) error {
	if server == "" {
		return nil
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return &stage.UsageError{Reason: fmt.Sprintf("%q is no address of a symbol server", server), Hint: "for example https://msdl.microsoft.com/download/symbols"}
	}
	return nil
}

func (r *SymbolsReport) describe(f *found, opt SymbolsOptions) {
	g := f.guest
	r.Input, r.Machine = f.input, g.Machine()
	unreadable, nameless := 0, 0
	var said finding.List
	for _, loaded := range symbolModules(g, opt.KernelOnly) {
		m := symbolModule(g, &loaded, opt.Server)
		if !m.Readable {
			unreadable++
		}
		if m.ImageKey == "" {
			nameless++
		}
		r.Modules = append(r.Modules, m)
	}
	if unreadable > 0 {
		kind := finding.NoSymbols
		if nameless == 0 { // as of a small dump, which has timestamps and sizes in its list
			kind = kind.WithAdvice("Debuggers find these images on a symbol server by their timestamps and sizes, and their symbols by the images.")
		}
		said.Add(kind.At("", "of %d images, the headers or debug records of %d are not readable", len(r.Modules), unreadable))
	}
	r.Findings = append(append(r.Findings, f.findings...), said.All...)
}

// symbolModules are the images asked for; the kernel is the first.
func symbolModules(g *guest.Guest, kernelOnly bool) []kdbg.Module {
	if kernelOnly && len(g.Modules()) > 1 {
		return g.Modules()[:1]
	}
	return g.Modules()
}

func symbolModule(g *guest.Guest, m *kdbg.Module, server string) SymbolModule {
	s := SymbolModule{ImageReport: moduleReport(g, m)}
	if s.Timestamp != 0 {
		s.ImageKey = s.imageKey()
	}
	if s.PDB != nil {
		s.PDBKey = s.PDB.key()
	}
	s.Readable = s.ImageKey != "" && s.PDBKey != ""
	if !s.Readable && s.Error == "" {
		s.Error = "the name can't be that of a file"
	}
	if server != "" {
		s.PDBURL, s.ImageURL = keyURL(server, s.PDBKey), keyURL(server, s.ImageKey)
	}
	return s
}

// fileName is the last part of a Windows path, and whether it can be the name of
// a file in a store: the guest chose it.
func fileName(p string) (string, bool) {
	name := path.Base(strings.ReplaceAll(p, `\`, "/"))
	if name == "." || name == ".." || name == "/" || len(name) > 255 {
		return "", false
	}
	for _, c := range name {
		if c < ' ' || c > '~' || strings.ContainsRune(`/\:*?"<>|,`, c) {
			return "", false
		}
	}
	return name, true
}

// id is the middle of a PDB's key: GUID, and the age in hex without padding.
func (p *PDBReport) id() string { return fmt.Sprintf("%s%X", p.GUID, p.Age) }

func (p *PDBReport) key() string {
	name, ok := fileName(p.Name)
	if !ok {
		return ""
	}
	return name + "/" + p.id() + "/" + name
}

// imageKey: the time stamp is in upper case and padded, the size in lower case
// and not.
func (r *ImageReport) imageKey() string {
	name, ok := fileName(r.Name)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s/%08X%x/%s", name, uint64(r.Timestamp), r.Size, name)
}

// keyURL is the address of a key, empty for none.
func keyURL(server, key string) string {
	if key == "" {
		return ""
	}
	parts := strings.Split(key, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.TrimRight(server, "/") + "/" + strings.Join(parts, "/")
}

// Manifest is the list as symchk /im takes it, a line a file
// (microsoft/pdblister, which reproduces symchk's own).
func (r *SymbolsReport) Manifest() string {
	var b strings.Builder
	for i := range r.Modules {
		m := &r.Modules[i]
		if m.PDBKey != "" {
			name, _ := fileName(m.PDB.Name)
			fmt.Fprintf(&b, "%s,%s%x,1\n", name, m.PDB.GUID, m.PDB.Age)
		}
		if m.ImageKey != "" {
			name, _ := fileName(m.Name)
			fmt.Fprintf(&b, "%s,%08x%x,1\n", name, uint64(m.Timestamp), m.Size)
		}
	}
	return b.String()
}

// URLs are the addresses of the report, PDBs and images.
func (r *SymbolsReport) URLs() []string {
	var list []string
	for i := range r.Modules {
		for _, u := range []string{r.Modules[i].PDBURL, r.Modules[i].ImageURL} {
			if u != "" {
				list = append(list, u)
			}
		}
	}
	return list
}
