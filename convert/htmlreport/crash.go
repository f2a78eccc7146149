package htmlreport

import (
	"fmt"

	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// crash is the bug check, with what its parameters mean, and the signature.
func (b *builder) crash(x *subject) *section {
	s := &section{ID: "crash", Title: "Bug check"}
	bug := x.bug
	switch {
	case bug == nil && x.system == nil:
		return nil
	case bug == nil:
		s.Note = "It is not known whether Windows had crashed."
		return s
	case !bug.Crashed:
		s.Note = "None: Windows was running."
		return s
	}
	var out facts
	out.add("Code", code(hex(bug.Code)), code(binio.Visible(bug.Name)))
	out.add("Meaning", plain(b.text(bug.Summary)))
	if sig := x.signature; sig != nil {
		why := binio.Visible(sig.Reason)
		if sig.MayBeVictim {
			why += "; memory was found damaged: it may be the victim"
		}
		out.add("Signature", cell{Text: binio.Visible(sig.Text), Class: "c all"}, plain(why))
	}
	t := &table{Caption: "Parameters of the bug check", Head: heads("#", "Parameter", "Meaning")}
	for i, p := range bug.Parameters {
		t.Rows = append(t.Rows, row{Cells: []cell{{Text: fmt.Sprint(i + 1), Class: "n"}, code(b.address(p.Value)), plain(b.text(p.Meaning))}})
	}
	s.Blocks = []block{{Facts: out}}
	if len(t.Rows) > 0 {
		s.Blocks = append(s.Blocks, block{Table: t})
	}
	return s
}

// howWords say what the ways are by which a frame was found.
var howWords = map[string]string{
	"context":       "registers that Windows saved",
	"registers":     "registers of the processor",
	"trap-frame":    "what Windows saved at an exception or interrupt",
	"machine-frame": "what the processor pushed at an exception or interrupt",
	"switch-frame":  "what Windows saved when the thread was left",
	"entry":         "the return address at the function's first instruction",
	"unwind":        "unwind data of the image",
	"leaf":          "a function without a frame",
	"epilogue":      "the end of a function",
	"frame-pointer": "the chain of frame pointers",
	"scan":          "an address seen on the stack, which may not belong to a call",
}

// stack lists the calls that led to the crash.
func (b *builder) stack(r *inspect.InfoReport) *section {
	if r == nil || r.Stack == nil || len(r.Stack.Frames) == 0 {
		return nil
	}
	st := r.Stack
	who := "thread"
	if st.Processor >= 0 {
		who = fmt.Sprintf("processor %d", st.Processor)
	}
	s := &section{ID: "stack", Title: "Stack", Note: binio.Visible(fmt.Sprintf("Of %s, from %s. The innermost call is first.", who, st.From(r.Bug != nil && r.Bug.Crashed)))}
	t := &table{Caption: "Calls, the innermost first", Head: heads("#", "", "Call", "Stack pointer", "Found by")}
	for i := range st.Handlers {
		t.Rows = append(t.Rows, b.frame(&st.Handlers[i], false))
	}
	for i := range st.Frames {
		t.Rows = append(t.Rows, b.frame(&st.Frames[i], i == 0 && r.Signature != nil))
	}
	s.Blocks = []block{{Table: t}}
	if !st.Complete && st.Stop != "" {
		s.Blocks = append(s.Blocks, block{Text: "The walk ends here: " + b.text(st.Stop) + "."})
	}
	if len(st.Seen) > 0 {
		seen := &table{Caption: "Addresses on the stack behind the last call", Head: heads("Address", "Place")}
		for _, x := range st.Seen {
			seen.Rows = append(seen.Rows, row{Cells: []cell{code(b.address(x.Address)), code(binio.Visible(x.Place))}})
		}
		s.Blocks = append(s.Blocks, block{More: &more{
			Summary: binio.Plural(len(st.Seen), "place") + " in modules seen on the stack beyond it, which may not be calls", Blocks: []block{{Table: seen}},
		}})
	}
	return s
}

// frame is a row of the stack; here marks where the crash was.
func (b *builder) frame(f *report.StackFrame, here bool) row {
	var r row
	mark := cell{Class: "m"}
	switch {
	case f.How == "scan":
		r.Class, mark.Text, mark.Title = "unsure", "?", "it may be no call"
	case here:
		r.Class, mark.Text, mark.Title = "here", "▶", "the crash was here"
	}
	r.Cells = []cell{
		{Text: fmt.Sprintf("%02d", f.Index), Class: "n"},
		mark, code(binio.Visible(f.Place)), code(b.address(f.SP)),
		{Text: binio.Visible(f.How), Title: howWords[f.How]},
	}
	return r
}

// sourceWords say whose registers a processor shows.
var sourceWords = map[report.ContextSource]string{
	report.FromVCPU:    "those of the vCPU",
	report.FromSaved:   "saved by Windows",
	report.FromForeign: "saved by Windows; the vCPU was elsewhere",
	report.FromNone:    "none",
}

// processors says where each was.
func (b *builder) processors(f *File) *section {
	if f.Info == nil || len(f.Info.CPUs) == 0 {
		return nil
	}
	m := b.machine
	t := &table{Caption: "Processors", Head: heads("#", m.PointerName, "Place", "Mode", m.RootName, "Registers")}
	planned := map[int]*report.CPU{}
	if f.Convert != nil {
		for i := range f.Convert.Processors {
			planned[f.Convert.Processors[i].Index] = &f.Convert.Processors[i]
		}
	}
	for i := range f.Info.CPUs {
		t.Rows = append(t.Rows, b.processor(&f.Info.CPUs[i], planned[f.Info.CPUs[i].Index]))
	}
	return &section{ID: "processors", Title: "Processors", Blocks: folded(t, "processors")}
}

// processor is a row. What a conversion planned for it says whose registers the dump
// shows.
func (b *builder) processor(c *inspect.CPUInfo, planned *report.CPU) row {
	number := cell{Text: fmt.Sprint(c.Index), Class: "n"}
	if c.Error != "" {
		return row{Class: "unsure", Cells: []cell{number, plain("unknown"), plain(b.text(c.Error)), plain(""), plain(""), plain("")}}
	}
	ip, registers := c.IP, sourceWords[c.Source]
	if planned != nil {
		ip, registers = planned.IP, b.registers(planned)
	}
	place := binio.Visible(c.Symbol)
	if ip != c.IP {
		place = ""
	}
	return row{Cells: []cell{
		number, code(b.address(ip)), code(place), plain(binio.Visible(c.Mode)), code(hex(c.Root)),
		plain(registers),
	}}
}

// registers says whose a conversion shows of a processor.
func (b *builder) registers(c *report.CPU) string {
	s := sourceWords[c.Contexts]
	if c.Note != "" {
		s = string(c.Contexts) + ": " + c.Note
	}
	if c.Differs {
		s += "; saved and vCPU differ"
	}
	if c.ShownFirst {
		s += "; shown first"
	}
	return b.text(s)
}
