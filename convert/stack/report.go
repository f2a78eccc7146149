package stack

import "windmp/convert/report"

// Report is the stack for reports, with the names of the functions.
func (w *Walker) Report(s *Stack) *report.Stack {
	if s == nil {
		return nil
	}
	r := &report.Stack{
		Processor: s.Processor,
		Start:     report.StackStart{Source: string(s.Start.Source), Parameter: s.Start.Parameter, Address: report.Hex(s.Start.VA)},
		Frames:    w.reportFrames(s, s.Frames, len(s.Handlers)),
		Handlers:  w.reportFrames(s, s.Handlers, 0),
		Complete:  s.Complete(),
	}
	if s.Stop != nil {
		r.Stop = s.Stop.Error()
	}
	if s.Instruction != 0 {
		place := w.name(s.view, s.Instruction)
		r.Start.Instruction, r.Start.Place = report.Hex(s.Instruction), place.String()
	}
	for _, va := range s.Seen {
		place := w.name(s.view, va)
		r.Seen = append(r.Seen, report.SeenAddress{Address: report.Hex(va), Place: place.String()})
	}
	return r
}

func (w *Walker) reportFrames(s *Stack, frames []Frame, first int) []report.StackFrame {
	list := make([]report.StackFrame, 0, len(frames))
	for i := range frames {
		f := &frames[i]
		p := w.name(s.view, f.PC)
		r := report.StackFrame{Index: first + i, PC: report.Hex(f.PC), SP: report.Hex(f.SP), Place: p.String(), How: string(f.How)}
		if p.Name != "" {
			r.Module, r.RVA, r.Export, r.Offset = p.File, report.Hex(p.RVA), p.Export, report.Hex(p.Offset)
		}
		list = append(list, r)
	}
	return list
}
