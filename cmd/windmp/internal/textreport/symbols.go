package textreport

import "windmp/convert/inspect"

// Symbols prints the keys of a guest's modules on symbol servers.
func Symbols(t *Text, r *inspect.SymbolsReport) {
	t.machine = r.Machine
	t.Heading("%-*s  module, its symbols, its image", len(t.address(0)), "base")
	for i := range r.Modules {
		m := &r.Modules[i]
		t.Line("%s  %s", t.address(m.Base), m.Name)
		for _, key := range []string{m.PDBKey, m.ImageKey} {
			if key != "" {
				t.Line("  %s", key)
			}
		}
		if !m.Readable {
			t.Note(2, "unreadable: %s", m.Error)
		}
	}
}
