package htmlreport

import (
	"cmp"
	"fmt"

	"windmp/convert/report"
	"windmp/internal/binio"
)

// systemLine is a Windows in a few words, empty for none.
func systemLine(s *report.System) string {
	if s == nil {
		return ""
	}
	return binio.Visible(fmt.Sprintf("%s build %d", cmp.Or(s.Name, "Windows"), s.Build))
}

// happened is what there is to say of a crash in a few words.
func happened(x *subject) string {
	bug, s := x.bug, x.signature
	switch {
	case x.system == nil:
		return ""
	case s != nil:
		return binio.Visible(s.Text)
	case bug == nil:
		return "bug check not known"
	case bug.Crashed:
		return binio.Visible(fmt.Sprintf("bug check %s %s", hex(bug.Code), bug.Name))
	default:
		return "running, no bug check"
	}
}

// source is about the file and the machine in it.
func (b *builder) source(f *File, x *subject) *section {
	var out facts
	out.add("File", code(binio.Visible(x.path)))
	out.add("Size", plain(binio.Bytes(x.size)))
	description, vcpus, memoryFile := "", 0, ""
	switch {
	case f.Convert != nil:
		description, vcpus, memoryFile = f.Convert.Input.Description, f.Convert.Input.VCPUs, f.Convert.Input.MemoryFile
	case f.Check != nil:
		description = f.Check.Description
	}
	if f.Info != nil {
		description = cmp.Or(description, f.Info.Input.Description)
		vcpus, memoryFile = f.Info.Input.VCPUs, f.Info.Input.MemoryFile
	}
	out.add("Container", plain(binio.Visible(description)))
	if memoryFile != "" {
		out.add("Memory", code(binio.Visible(memoryFile)))
	}
	if f.Check != nil {
		out.add("SHA-256", code(binio.Visible(f.Check.SHA256)))
	}
	if f.Info != nil && f.Info.Dump != nil {
		out.add("Comment", plain(binio.Visible(f.Info.Dump.Comment)))
	}
	b.system(&out, x.system, vcpus)
	if f.Info != nil && f.Info.Kernel != nil {
		k := f.Info.Kernel
		out.add("Kernel", code(binio.Visible(k.Name)), plain(binio.Visible(k.FileVersion)), code(b.address(k.Base)))
	}
	return &section{ID: "machine", Title: "File and machine", Blocks: []block{{Facts: out}}}
}

// system is about Windows.
func (b *builder) system(out *facts, s *report.System, vcpus int) {
	if s == nil {
		return
	}
	processors := binio.Plural(s.Processors, "processor")
	if vcpus > 0 && vcpus != int(s.Processors) {
		processors += fmt.Sprintf(" (the file has %s)", binio.Plural(vcpus, "vCPU"))
	}
	out.add("System", plain(systemLine(s)), plain(binio.Visible(s.Product)), plain(binio.Visible(s.Machine)))
	out.add("Processors", plain(processors))
	out.add("Build", code(binio.Visible(s.BuildLab)))
	if s.SystemTime != "" {
		up := ""
		if s.UpTime > 0 {
			up = "up " + binio.Span(s.UpTime)
		}
		out.add("Time", plain(moment(s.SystemTime)), plain(up))
	}
	out.add("Folder", code(binio.Visible(s.SystemRoot)))
	if s.KDBG != 0 {
		tables := ""
		if s.PagingLevels > 0 { // 0 of a dump without page tables
			tables = fmt.Sprintf("page tables at %s, %d levels", hex(s.DirectoryTableBase), s.PagingLevels)
		}
		out.add("KDBG", code(b.address(s.KDBG)), plain(tables))
	}
}
