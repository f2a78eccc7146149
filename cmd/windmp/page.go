package main

import (
	"io"
	"path/filepath"
	"strings"

	"windmp/convert/htmlreport"
	"windmp/convert/report"
)

// pageCommands are those that make pages.
var pageCommands = []string{"check", "convert", "info"}

// isPage tells whether a report is to be a page, by its name.
func isPage(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".html" || ext == ".htm"
}

// wantsPage tells whether this run's report is to be a page.
func (a *app) wantsPage() bool { return isPage(a.out.report) }

// render writes the page of an outcome; e is why there may be nothing to say.
func (a *app) render(w io.Writer, o *outcome, e *report.Error) error {
	p := &htmlreport.Page{Command: strings.Split(o.schema, "/")[1], Version: version(), Words: withFlags}
	if o.files != nil {
		p.Files = o.files()
	}
	if len(p.Files) == 0 {
		p.Error = e
	}
	return htmlreport.Render(w, p)
}
