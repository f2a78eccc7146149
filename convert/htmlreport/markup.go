package htmlreport

import (
	"strconv"

	"golang.org/x/net/html"
)

// head is what says how the page is shown.
func (v *view) head() *html.Node {
	return element("head",
		el("meta", attr("charset", "utf-8")),
		el("meta", attr("http-equiv", "Content-Security-Policy"), attr("content", v.Policy)),
		meta("viewport", "width=device-width, initial-scale=1"),
		meta("color-scheme", "light dark"),
		meta("referrer", "no-referrer"),
		meta("generator", v.Made),
		el("title", text(v.Title)),
		el("style", text(style)),
	)
}

// filtering is the script.
func filtering() *html.Node {
	return element("script", attr("type", "module"), text(script))
}

func meta(name, content string) part {
	return el("meta", attr("name", name), attr("content", content))
}

// body is what stands in the page.
func (v *view) body() *html.Node {
	content := []part{class("content")}
	if v.Error != "" {
		content = append(content, el("header", class("file v-fail"), el("h1", text(v.Title)), v.failure()))
	}
	if v.Overview != nil {
		content = append(content, el("h1", text(v.Title)), el("section", class("card"), attr("aria-label", "Overview"), v.Overview.markup()))
	}
	for i, f := range v.Files {
		content = append(content, text("\n"), f.markup(i, v.Overview == nil))
	}
	return element("div", class("windmp"), attr("lang", "en"), attr("dir", "ltr"), // in pages of others, too
		el("div", content...),
		el("footer", paragraph("", "Made by "+v.Made+". It has names, addresses and registers of the guest, and nothing else of its memory. It loads nothing.")),
	)
}

// failure says why there is nothing to say.
func (v *view) failure() part {
	return el("div", class("verdict fail"), paragraph("headline", v.Error), maybe("advice", v.Advice))
}

// markup is what the page says of a file, alone on the page or as one of several.
func (f *fileView) markup(index int, alone bool) part {
	title, nav := el("h1", text(f.Name)), "On this page"
	if !alone {
		title, nav = el("h2", class("name"), text(f.Name)), "Of file "+strconv.Itoa(index+1)+", "+f.Name
	}
	sections := each(f.Sections, func(s *section) part { return group(text("\n"), s.markup(alone)) })
	return el("article", attr("id", f.ID), el("header", class("file"), title, f.Verdict.markup(), el("nav", attr("aria-label", nav), el("ul", each(f.Sections, link)))), sections)
}

// link is a section's among those of its file.
func link(s *section) part {
	return el("li", el("a", attr("href", "#"+s.ID), text(s.Title)))
}

func (v *verdict) markup() part {
	word := group()
	if v.Word != "" {
		word = el("p", class("word"), el("span", class("mark"), hidden(), text(v.Mark)), text(" "), el("span", class("sr"), text("Verdict: ")), text(v.Word))
	}
	return el("div", class("verdict "+v.Class), word,
		el("div", paragraph("headline", v.Headline), maybe("reason", v.Reason), advice(v.Advice)))
}

func (s *section) markup(alone bool) part {
	id := s.ID + "-title"
	title, label := "h3", group()
	if alone {
		title, label = "h2", attr("aria-labelledby", id)
	}
	return el("section", attr("id", s.ID), class("card"), label, el(title, attr("id", id), text(s.Title)), maybe("note", s.Note), each(s.Blocks, block.markup))
}

func (b block) markup() part {
	var parts []part
	if len(b.Facts) > 0 {
		parts = append(parts, el("dl", each(b.Facts, fact.markup)))
	}
	if b.Text != "" {
		parts = append(parts, paragraph("", b.Text))
	}
	if len(b.Findings) > 0 {
		parts = append(parts, el("ul", class("findings"), each(b.Findings, said.markup)))
	}
	if b.Picture != nil {
		parts = append(parts, b.Picture.markup())
	}
	if b.Table != nil {
		parts = append(parts, b.Table.markup())
	}
	if b.More != nil {
		parts = append(parts, el("details", el("summary", text(b.More.Summary)), each(b.More.Blocks, block.markup)))
	}
	return group(parts...)
}

func (f fact) markup() part {
	var values []part
	for i, v := range f.Values {
		if i > 0 {
			values = append(values, el("span", class("sep"), hidden(), text(" · ")))
		}
		values = append(values, v.value())
	}
	return el("div", el("dt", text(f.Name)), el("dd", values...))
}

func (s said) markup() part {
	where := s.ID
	if s.Where != "" {
		where += ", " + s.Where
	}
	return el("li", class(s.Class), el("span", class("sev "+s.Class), text(s.Severity)),
		el("div", el("p", text(s.Message)), advice(s.Advice), paragraph("where", where)))
}

// value is a cell in a line.
func (c cell) value() part {
	switch {
	case c.Link != "":
		return el("a", attr("href", c.Link), text(c.Text))
	case c.Text != "":
		return el("span", class(c.Class), attr("title", c.Title), text(c.Text))
	default:
		return group()
	}
}

func (t *table) markup() part {
	grid := el("div", class("scroll"), attr("tabindex", "0"), attr("role", "group"), attr("aria-label", t.Caption),
		el("table",
			el("caption", class("sr"), text(t.Caption)),
			el("thead", el("tr", each(t.Head, cell.head))),
			el("tbody", each(t.Rows, row.markup)),
		))
	if t.Filter == "" {
		return grid
	}
	return group(
		el("div", class("filter"), attr("hidden", "hidden"),
			el("label", text("Filter "+t.Filter+" "), el("input", attr("type", "search"), attr("autocomplete", "off"), attr("spellcheck", "false"))), text(" "),
			el("span", class("count"), attr("role", "status"))),
		grid,
	)
}

// head is a cell of a table's first row.
func (c cell) head() part {
	if c.Text == "" {
		return el("td")
	}
	return el("th", attr("scope", "col"), class(c.Class), text(c.Text))
}

func (r row) markup() part {
	return group(text("\n"), el("tr", class(r.Class), each(r.Cells, cell.markup)))
}

// markup is a cell of a table.
func (c cell) markup() part {
	text := text(c.Text)
	if c.Link != "" {
		text = el("a", attr("href", c.Link), text)
	}
	return el("td", class(c.Class), attr("title", c.Title), text)
}

func (d *drawing) markup() part {
	figure := []part{el("svg", class("memory"), attr("role", "img"), attr("width", "100%"), number("height", d.Height), attr("xmlns", "http://www.w3.org/2000/svg"),
		el("title", text(d.Title)), el("desc", text(d.Description)),
		each(d.Frames, bar.markup), each(d.Bars, bar.markup), each(d.Labels, label.markup))}
	if len(d.Legend) > 0 {
		figure = append(figure, el("figcaption", each(d.Legend, func(c cell) part { return el("span", class("key "+c.Class), text(c.Text)) })))
	}
	return el("figure", figure...)
}

func (b bar) markup() part {
	return el("rect", attr("x", b.X), number("y", b.Y), attr("width", b.Width), number("height", b.Height), class(b.Class))
}

func (l label) markup() part {
	return el("text", attr("x", l.X), number("y", l.Y), class(l.Class), attr("text-anchor", l.Anchor), text(l.Text))
}

func class(name string) part          { return attr("class", name) }
func hidden() part                    { return attr("aria-hidden", "true") }
func number(name string, n int) part  { return attr(name, strconv.Itoa(n)) }
func paragraph(of, words string) part { return el("p", class(of), text(words)) }

// maybe is a paragraph, none where it is empty.
func maybe(of, words string) part {
	if words == "" {
		return group()
	}
	return paragraph(of, words)
}

// advice says what can be done.
func advice(words string) part {
	if words == "" {
		return group()
	}
	return el("p", class("advice"), el("b", text("What to do:")), text(" "+words))
}
