package htmlreport

import (
	"fmt"
	"strconv"

	"windmp/convert/report"
	"windmp/internal/binio"
)

// drawing is a picture of physical memory, in percent of the width and in pixels of
// height, so that letters keep their size.
type drawing struct {
	Title, Description string
	Height             int
	Labels             []label
	Bars               []bar
	Frames             []bar
	Legend             []cell
}

// label is text in the picture.
type label struct {
	X, Anchor string
	Y         int
	Class     string
	Text      string
}

// bar is a stretch of a row.
type bar struct {
	X, Width  string
	Y, Height int
	Class     string
}

const (
	barHeight = 22
	rowHeight = 48 // label, bar, room
	barTop    = 18
	axisRoom  = 22
	// partGap is the room between two parts, in columns.
	partGap = 6
	// labelShare is the part of the width, in percent, that a part needs for its address.
	labelShare = 22
)

// rowNames say whose memory the rows of a picture show.
var rowNames = []struct{ name, class string }{{"The guest has", "guest"}, {"The file holds", "file"}, {"The dump holds", "dump"}}

// memory draws the physical memory, and lists it.
func (b *builder) memory(f *File) *section {
	if f.Info == nil || f.Info.Triage != nil {
		return nil
	}
	m := &f.Info.Memory
	s := &section{ID: "memory", Title: "Physical memory"}
	p := m.Picture
	if p == nil || len(p.Parts) == 0 {
		if len(m.ListedRanges) == 0 {
			return nil
		}
		s.Note = fmt.Sprintf("The header lists %s; the file holds none of it.", binio.Bytes(m.Listed))
		return s
	}
	s.Note = fmt.Sprintf("The file holds %s in %s.", binio.Bytes(m.Held), binio.Plural(m.Count, "range"))
	if m.Missing > 0 {
		s.Note += fmt.Sprintf(" %s of the %s that the guest lists are missing.", binio.Bytes(m.Missing), binio.Bytes(m.Listed))
	}
	s.Blocks = []block{{Picture: b.draw(p)}, {Table: b.parts(p)}}
	if m.Count > 1 {
		s.Blocks = append(s.Blocks, block{More: b.ranges(m.Ranges, m.Count)})
	}
	return s
}

// column is where a column of the picture begins, in percent.
type scale struct{ columns float64 }

func (s scale) at(column int) string { return percent(float64(column) / s.columns * 100) }

// percent is a length.
func percent(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) + "%" }

// draw makes the picture.
func (b *builder) draw(p *report.Picture) *drawing {
	last := p.Parts[len(p.Parts)-1]
	columns := scale{float64(last.First + last.Cells + partGap*(len(p.Parts)-1))}
	d := &drawing{Title: "Physical memory, from the lowest address to the highest", Height: rowHeight*len(p.Rows) + axisRoom}
	for i := range p.Rows {
		r := &p.Rows[i]
		y := i * rowHeight
		d.Labels = append(d.Labels, label{X: "0%", Y: y + barTop - 5, Class: "what", Text: rowNames[i].name + " " + binio.Bytes(r.Size)})
		d.Description += rowNames[i].name + " " + binio.Bytes(r.Size) + ". "
		for at := range p.Parts {
			part := &p.Parts[at]
			first := part.First + at*partGap
			d.Frames = append(d.Frames, bar{X: columns.at(first), Width: columns.at(part.Cells), Y: y + barTop, Height: barHeight, Class: "frame"})
			d.bars(columns, p, i, at, y+barTop)
		}
	}
	for at := range p.Parts {
		part := &p.Parts[at]
		if float64(part.Cells)/columns.columns*100 < labelShare && at > 0 {
			continue
		}
		d.Labels = append(d.Labels, label{X: columns.at(part.First + at*partGap), Y: rowHeight*len(p.Rows) + axisRoom - 8, Class: "at", Text: b.physical(part.Start)})
	}
	end := label{X: "100%", Anchor: "end", Y: rowHeight*len(p.Rows) + axisRoom - 8, Class: "at", Text: b.physical(last.End() - 1)}
	d.Labels = append(d.Labels, end)
	d.Legend = legend(p)
	return d
}

// bars are those of a row in a part; what the guest has and the row has not is marked.
func (d *drawing) bars(columns scale, p *report.Picture, row, part, y int) {
	x := &p.Parts[part]
	shift := part * partGap
	class := func(c int) string { return cellClass(p, row, c) }
	for c := x.First; c < x.First+x.Cells; {
		n := 1
		for c+n < x.First+x.Cells && class(c+n) == class(c) {
			n++
		}
		if name := class(c); name != "" {
			d.Bars = append(d.Bars, bar{X: columns.at(c + shift), Width: columns.at(n), Y: y, Height: barHeight, Class: name})
		}
		c += n
	}
}

// cellClass is how a cell is drawn, empty for not at all.
func cellClass(p *report.Picture, row, c int) string {
	const steps = 4
	have := p.Rows[row].Cells[c]
	switch {
	case have == 0 && row == 1 && p.Rows[0].Cells[c] > 0:
		return "lost"
	case have == 0:
		return ""
	default: // 1 to steps, and only what is all there is steps+1
		return fmt.Sprintf("%s d%d", rowNames[row].class, min(int(have), 99)*steps/100+1+int(have)/100)
	}
}

// legend says what is drawn beside plain bars.
func legend(p *report.Picture) []cell {
	var list []cell
	lost, part := false, false
	for row := range p.Rows {
		for c, have := range p.Rows[row].Cells {
			lost = lost || cellClass(p, row, c) == "lost"
			part = part || have > 0 && have < 100
		}
	}
	if part {
		list = append(list, cell{Text: "lighter: only part of it", Class: "part"})
	}
	if lost {
		list = append(list, cell{Text: "the guest has it, the file does not", Class: "lost"})
	}
	if len(p.Parts) > 1 {
		list = append(list, cell{Text: "gaps are holes in the address space, not to scale", Class: "hole"})
	}
	return list
}

// parts is the picture as a table.
func (b *builder) parts(p *report.Picture) *table {
	t := &table{Caption: "The picture as numbers", Head: heads("Addresses")}
	for i := range p.Rows {
		t.Head = append(t.Head, cell{Text: rowNames[i].name, Class: "n"})
	}
	for i := range p.Parts {
		part := &p.Parts[i]
		if i > 0 {
			hole := part.Start - p.Parts[i-1].End()
			t.Rows = append(t.Rows, row{Class: "hole", Cells: append([]cell{plain("hole of " + binio.Bytes(hole))}, make([]cell, len(p.Rows))...)})
		}
		r := row{Cells: []cell{code(b.physical(part.Start) + " – " + b.physical(part.End()-1))}}
		for j := range p.Rows {
			r.Cells = append(r.Cells, cell{Text: binio.Bytes(p.Rows[j].Parts[i]), Class: "n"})
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

// rangesShown bounds the ranges that are listed.
const rangesShown = 256

// ranges lists what the file holds.
func (b *builder) ranges(list []report.Range, count int) *more {
	t := &table{Caption: "Ranges of memory in the file", Head: heads("Addresses", "#Size")}
	shown, _ := cut(list, rangesShown)
	end := uint64(0)
	for _, r := range shown {
		if hole := uint64(r.PA) - end; hole > 0 {
			t.Rows = append(t.Rows, row{Class: "hole", Cells: []cell{plain("hole"), {Text: binio.Bytes(hole), Class: "n"}}})
		}
		end = uint64(r.PA) + r.Size
		t.Rows = append(t.Rows, row{Cells: []cell{code(b.physical(uint64(r.PA)) + " – " + b.physical(end-1)), {Text: binio.Bytes(r.Size), Class: "n"}}})
	}
	m := &more{Summary: binio.Plural(count, "range") + " of memory in the file", Blocks: []block{{Table: t}}}
	if count > len(shown) {
		m.Blocks = append(m.Blocks, block{Text: fmt.Sprintf("And %d more, which are in the JSON document.", count-len(shown))})
	}
	return m
}
