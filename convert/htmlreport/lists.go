package htmlreport

import (
	"fmt"

	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// rowsShown bounds the rows of a list: what a hostile guest makes long still opens.
const rowsShown = 4096

// cut is a list as far as it is shown, and what is said of the rest.
func cut[T any](list []T, most int) (shown []T, rest []block) {
	if len(list) <= most {
		return list, nil
	}
	return list[:most], []block{{Text: fmt.Sprintf("And %d more, which are in the JSON document.", len(list)-most)}}
}

// foldFrom is how many rows a list has that is shown when it is asked for: who reads the
// page from top to bottom would not come past the modules of a real machine, some 200.
const foldFrom = 25

// filterFrom is how many rows a list has before a field to filter them is of use.
const filterFrom = 10

// filterOf is what the rows of a list of n are, as its filter names them; empty for a list
// that is seen at a glance.
func filterOf(rows string, n int) string {
	if n < filterFrom {
		return ""
	}
	return rows
}

// folded is a list of what has that name, with what stands below it.
func folded(t *table, of string, rest ...block) []block {
	blocks := append([]block{{Table: t}}, rest...)
	if len(t.Rows) < foldFrom {
		return blocks
	}
	return []block{{More: &more{Summary: fmt.Sprintf("List of %d %s", len(t.Rows), of), Blocks: blocks}}}
}

// modules are the loaded images, with the identity of their symbols.
func (b *builder) modules(r *inspect.InfoReport) *section {
	if r == nil || len(r.Modules) == 0 {
		return nil
	}
	t := &table{
		Caption: "Loaded modules", Filter: filterOf("modules", len(r.Modules)), ID: "filter-modules",
		Head: heads("Name", "Base", "#Size", "Version", "Timestamp", "Symbols"),
	}
	list, rest := cut(r.Modules, rowsShown)
	note := binio.Plural(r.ModuleCount, "module") + " loaded when the memory was saved."
	usual, times := usualLack(r.Modules)
	if times > 0 {
		note += fmt.Sprintf(" The symbols of %d are not known: of each, %s.", times, b.text(usual))
	}
	for i := range list {
		m := &list[i]
		symbols := cell{Text: b.text(m.Error), Class: "dim"}
		if times > 0 && m.Error == usual {
			symbols.Text = "not known"
		}
		if m.PDB != nil {
			symbols = code(binio.Visible(fmt.Sprintf("%s %s-%x", m.PDB.Name, m.PDB.GUID, m.PDB.Age)))
		}
		t.Rows = append(t.Rows, row{Cells: []cell{
			code(binio.Visible(m.Name)), code(b.address(m.Base)),
			{Text: binio.Bytes(int64(m.Size)), Class: "n"},
			plain(binio.Visible(m.FileVersion)),
			code(fmt.Sprintf("%08x", uint64(m.Timestamp))), symbols,
		}})
	}
	return &section{ID: "modules", Title: "Modules", Note: note, Blocks: folded(t, "modules", rest...)}
}

// usualLack is why the symbols of most modules that lack them are not known, and of how many
// it says that: what a small dump says of nearly all is said once. No modules where each has
// a reason of its own.
func usualLack(modules []inspect.ImageReport) (why string, times int) {
	of := map[string]int{}
	for i := range modules {
		m := &modules[i]
		if m.PDB != nil || m.Error == "" {
			continue
		}
		of[m.Error]++
		if n := of[m.Error]; n > 1 && n > times {
			why, times = m.Error, n
		}
	}
	return why, times
}

// processes are the guest's.
func (b *builder) processes(r *inspect.InfoReport) *section {
	if r == nil || len(r.Processes) == 0 {
		return nil
	}
	t := &table{
		Caption: "Processes", Filter: filterOf("processes", len(r.Processes)), ID: "filter-processes",
		Head: heads("#PID", "#Parent", "Name", b.machine.RootName, "EPROCESS"),
	}
	list, rest := cut(r.Processes, rowsShown)
	for i := range list {
		p := &list[i]
		t.Rows = append(t.Rows, row{Cells: []cell{
			{Text: fmt.Sprint(p.PID), Class: "n"},
			{Text: fmt.Sprint(p.ParentPID), Class: "n"},
			{Text: binio.Visible(p.Name), Class: "c", Title: b.text(p.Error)},
			code(hex(p.Root)), code(b.address(p.EPROCESS)),
		}})
	}
	return &section{ID: "processes", Title: "Processes", Blocks: folded(t, "processes", rest...)}
}

// unloaded are the drivers that Windows remembers.
func (b *builder) unloaded(r *inspect.InfoReport) *section {
	if r == nil || len(r.Unloaded) == 0 {
		return nil
	}
	t := &table{Caption: "Drivers that were unloaded", Head: heads("Name", "Start", "End", "Unloaded")}
	list, rest := cut(r.Unloaded, rowsShown)
	for _, u := range list {
		t.Rows = append(t.Rows, row{Cells: []cell{code(binio.Visible(u.Name)), code(b.address(u.Start)), code(b.address(u.End)), plain(moment(u.Time))}})
	}
	return &section{ID: "unloaded", Title: "Unloaded drivers", Blocks: folded(t, "drivers", rest...)}
}

// small is about a small dump, which holds memory by virtual address.
func (b *builder) small(f *File) *section {
	if f.Info == nil || f.Info.Triage == nil {
		return nil
	}
	r := f.Info.Triage
	var out facts
	out.add("Memory", plain(fmt.Sprintf("%s by virtual address, in %s", binio.Bytes(r.Held), binio.Plural(r.Blocks, "block"))))
	out.add("Stack", plain(binio.Bytes(int64(r.StackSize))), code(b.address(r.Stack)))
	if r.Thread != 0 {
		out.add("Thread", code(b.address(r.Thread)))
		out.add("Process", code(binio.Visible(r.ProcessName)), code(b.address(r.Process)))
	}
	if len(r.Secondary) > 0 {
		held := int64(0)
		for _, s := range r.Secondary {
			held += int64(s.Size)
		}
		out.add("Secondary data", plain(fmt.Sprintf("%s, %s", binio.Plural(len(r.Secondary), "blob"), binio.Bytes(held))))
	}
	return &section{ID: "small", Title: "Small dump", Blocks: []block{{Facts: out}}}
}

// streamed is the path in the report of what is written to no file.
const streamed = "-"

// written is about the output of a conversion.
func (b *builder) written(r *report.Report) *section {
	if r == nil || r.Output.Size == 0 {
		return nil
	}
	o := &r.Output
	var out facts
	if o.Path != streamed {
		out.add("File", code(binio.Visible(o.Path)), plain(map[bool]string{true: "written", false: "not written"}[o.Written]))
	}
	kind := "ELF core"
	if o.DumpType != "" {
		kind = o.DumpType + " dump"
	}
	if o.Compression != "" {
		kind += ", packed by " + string(o.Compression)
	}
	out.add("Kind", plain(binio.Visible(kind)))
	packed := ""
	if o.FileSize > 0 && o.FileSize != o.Size {
		packed = binio.Bytes(o.FileSize) + " as it is packed"
	}
	out.add("Size", plain(binio.Bytes(o.Size)), plain(packed))
	out.add("SHA-256", cell{Text: binio.Visible(o.SHA256), Class: "c all"})
	if o.Pages > 0 {
		left := ""
		if o.LeftOut > 0 {
			left = binio.Plural(o.LeftOut, "page") + " of user memory left out"
		}
		out.add("Pages", plain(binio.Plural(o.Pages, "page")+" in "+binio.Plural(o.Runs, "run")), plain(left))
	}
	s := &section{ID: "output", Title: "Dump", Blocks: []block{{Facts: out}}}
	if o.Triage != nil {
		s.Blocks = append(s.Blocks, block{Table: contents(o.Triage)})
	}
	return s
}

// contents is what a small dump holds, for whoever must approve that it leaves the house.
func contents(r *report.Triage) *table {
	t := &table{Caption: "What is in the dump", Head: heads("What", "#In the dump", "#No room for", "#Not in memory")}
	for _, p := range r.Contents {
		t.Rows = append(t.Rows, row{Cells: []cell{
			plain(binio.Visible(p.What)), {Text: binio.Bytes(p.Bytes), Class: "n"}, {Text: some(p.NoRoom), Class: "n"}, {Text: some(p.NotInMemory), Class: "n"},
		}})
	}
	return t
}

// some is a number of bytes, empty for none.
func some(n uint64) string {
	if n == 0 {
		return ""
	}
	return binio.Bytes(n)
}

// changes are those that a conversion makes to the header and to memory.
func (b *builder) changes(r *report.Report) *section {
	if r == nil || len(r.Improvements)+len(r.Edits) == 0 {
		return nil
	}
	s := &section{ID: "changes", Title: "What differs in the dump", Note: "The source is never changed; these are in the dump only."}
	if len(r.Improvements) > 0 {
		t := &table{Caption: "Header fields", Head: heads("Field", "In the guest's header", "In the dump", "Why")}
		for _, i := range r.Improvements {
			t.Rows = append(t.Rows, row{Cells: []cell{code(binio.Visible(i.Field)), wrapped(binio.Visible(i.From)), wrapped(binio.Visible(i.To)), plain(b.text(i.Reason))}})
		}
		s.Blocks = append(s.Blocks, block{More: &more{Summary: binio.Plural(len(r.Improvements), "header field"), Blocks: []block{{Table: t}}}})
	}
	if len(r.Edits) > 0 {
		t := &table{Caption: "Edits of memory", Head: heads("Virtual address", "Physical address", "#Size", "Why")}
		list, rest := cut(r.Edits, rowsShown)
		for _, e := range list {
			t.Rows = append(t.Rows, row{Cells: []cell{code(b.address(e.VA)), code(b.physical(uint64(e.PA))), {Text: binio.Bytes(int64(e.Size)), Class: "n"}, plain(b.text(e.Reason))}})
		}
		s.Blocks = append(s.Blocks, block{More: &more{Summary: binio.Plural(len(r.Edits), "edit") + " of memory", Blocks: append([]block{{Table: t}}, rest...)}})
	}
	return s
}
