package htmlreport

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"io"
	"path"
	"strings"

	"golang.org/x/net/html"

	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/internal/binio"
)

// Page is what a page tells.
type Page struct {
	// Command is the one whose outcome it is: check, info or convert.
	Command string
	// Version is windmp's, as its --version has it.
	Version string
	// Files are what there is to say of each file, in the order of the page.
	Files []File
	// Error is why there is nothing to say, nil if there is.
	Error *report.Error
	// Words says in the words of whoever makes the page what the libraries say; nil
	// leaves it as it is.
	Words func(string) string
}

// File is what there is to say of a file: what one command found, and nil for what the
// others would.
type File struct {
	Check   *inspect.FileCheck
	Convert *report.Report
	Info    *inspect.InfoReport
}

// Beginning is how every page begins, so that it is known again.
const Beginning = `<!DOCTYPE html>
<html lang="en" class="windmp-report">`

var (
	//go:embed page.css
	style string
	// filters is a script of its own, for other pages too: they import it.
	//go:embed filters.js
	filters string
	script  = filters + "windmpFilters(document);\n"

	// policy allows what is on the page and nothing else (Content Security Policy Level 3).
	policy = "default-src 'none'; style-src '" + hash(style) + "'; script-src '" + hash(script) +
		"'; base-uri 'none'; form-action 'none'"
)

// hash is how a policy names what stands on the page.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Render writes the page. The error is that of w.
func Render(w io.Writer, p *Page) error {
	page, _, err := Make(p)
	if err != nil {
		return err
	}
	_, err = w.Write(page)
	return err
}

// Make makes the page in memory; half a page is none. The body, which is a part of it, is
// for another page that has a frame, a style and a policy of its own.
func Make(p *Page) (page, body []byte, err error) {
	v := newView(p)
	out := bytes.NewBufferString(Beginning + "\n")
	if err := html.Render(out, v.head()); err != nil {
		return nil, nil, err
	}
	out.WriteString("<body><main>")
	begin := out.Len()
	if err := html.Render(out, v.body()); err != nil {
		return nil, nil, err
	}
	end := out.Len()
	out.WriteString("</main>")
	if err := html.Render(out, filtering()); err != nil {
		return nil, nil, err
	}
	out.WriteString("</body>\n</html>\n")
	return out.Bytes(), out.Bytes()[begin:end], nil
}

// Style is the page's style sheet, for whoever shows the body that [Make] makes; the script
// that filters its tables is filters.js beside this file.
func Style() string { return style }

// view is what the page shows. All text in it is visible as it is.
type view struct {
	Title         string
	Policy        string
	Made          string
	Error, Advice string
	Overview      *table
	Files         []*fileView
}

// fileView is what the page says of a file.
type fileView struct {
	// ID is what the links of the page begin with.
	ID, Name string
	Verdict  *verdict
	Sections []*section
}

// section is a part of it, with what is said there from top to bottom.
type section struct {
	ID, Title, Note string
	Blocks          []block
}

// block is one of what it can be: the others are nil.
type block struct {
	Facts    []fact
	Text     string
	Findings []said
	Table    *table
	Picture  *drawing
	More     *more
}

// fact is a name and what is said of it.
type fact struct {
	Name   string
	Values []cell
}

// cell is text with a class of the style sheet; Title says more to who points at it.
type cell struct{ Text, Class, Title, Link string }

// table has a caption, which only screen readers read, headings and rows.
type table struct {
	Caption string
	Head    []cell
	Rows    []row
	// Filter is what the rows are, as in "filter modules", empty for no filter.
	Filter string
	ID     string
}

// row is one of a table, with a class of the style sheet.
type row struct {
	Class string
	Cells []cell
}

// more is what is shown when it is asked for.
type more struct {
	Summary string
	Blocks  []block
}

func newView(p *Page) *view {
	b := builder{words: p.Words}
	if b.words == nil {
		b.words = func(s string) string { return s }
	}
	v := &view{
		Policy: policy,
		Made:   binio.Visible("windmp " + p.Version),
	}
	for i := range p.Files {
		v.Files = append(v.Files, b.file(&p.Files[i], i, len(p.Files)))
	}
	v.Title = title(p, v.Files)
	if p.Error != nil {
		v.Error, v.Advice = b.text(p.Error.Message), b.text(p.Error.Hint)
	}
	if len(v.Files) > 1 {
		v.Overview = overview(p.Files, v.Files)
	}
	return v
}

// title is the page's.
func title(p *Page, files []*fileView) string {
	switch {
	case len(files) == 0:
		return binio.Visible("windmp " + p.Command)
	case len(files) > 1:
		return binio.Visible("windmp "+p.Command) + ": " + binio.Plural(len(files), "file")
	case files[0].Verdict.Word != "":
		return files[0].Name + ": " + files[0].Verdict.Word
	default:
		return files[0].Name
	}
}

// overview lists the files of a page that has several.
func overview(files []File, shown []*fileView) *table {
	t := &table{Caption: "Files", Head: heads("Verdict", "File", "System", "What happened", "#Size")}
	for i := range files {
		x := subjectOf(&files[i])
		v := shown[i].Verdict
		t.Rows = append(t.Rows, row{Cells: []cell{
			{Text: v.Word, Class: "v " + v.Class},
			{Text: shown[i].Name, Link: "#" + shown[i].ID},
			{Text: systemLine(x.system)},
			{Text: happened(&x)},
			{Text: binio.Bytes(x.size), Class: "n"},
		}})
	}
	return t
}

// fileName is the last part of a path of any system.
func fileName(p string) string {
	return binio.Visible(path.Base(strings.ReplaceAll(p, `\`, "/")))
}
