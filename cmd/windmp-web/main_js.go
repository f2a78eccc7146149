// Command windmp-web is windmp for a worker of a browser: it judges files that the
// visitor chose, where they lie, and makes small dumps of them. What it shows is the page
// of convert/htmlreport, and its documents are those of the command. web/page/worker.js
// runs it, scripts/web builds it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"syscall/js"

	"windmp/cmd/windmp-web/internal/fileset"
	"windmp/convert"
	"windmp/convert/cause"
	"windmp/convert/exitcode"
	"windmp/convert/guest"
	"windmp/convert/htmlreport"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/internal/binio"
)

// version is stamped by the linker.
var version = "devel"

func main() {
	js.Global().Set("windmp", js.ValueOf(map[string]any{
		"version": version,
		"check":   js.FuncOf(answer(check)), "triage": js.FuncOf(answer(triage)),
	}))
	select {} // the functions are called until the worker ends
}

// job is what the page asks for.
type job struct {
	// files are File objects; neighbours of each are the others.
	files []*fileset.File
	// maxSize is the most bytes that the receiver takes, 0 for no limit.
	maxSize  int64
	progress func(stage.Progress)
}

// answer makes a function for JavaScript of one that does a job: its arguments are an
// array of File objects, options, and a function that is told of progress.
func answer(do func(context.Context, *job) map[string]any) func(js.Value, []js.Value) any {
	return func(_ js.Value, args []js.Value) any {
		j := &job{files: filesOf(args[0])}
		if n := args[1].Get("maxSize"); n.Type() == js.TypeString {
			var ok bool
			if j.maxSize, ok = binio.ParseBytes(n.String()); !ok {
				return js.ValueOf(failed(&stage.UsageError{Reason: fmt.Sprintf("max-size %q is no size", n.String()), Hint: "For example 1GB (10^9) or 1GiB (2^30)"}))
			}
		}
		if tell := args[2]; tell.Type() == js.TypeFunction {
			j.progress = func(p stage.Progress) { tell.Invoke(string(p.Stage), float64(p.Done), float64(p.Total)) }
		}
		return js.ValueOf(do(context.Background(), j))
	}
}

// header begins a document, as it does the command's.
type header struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	ExitCode int    `json:"exit_code"`
}

// check judges files: the page, the document and the verdict of each.
func check(ctx context.Context, j *job) map[string]any {
	opt := inspect.CheckOptions{MaxSize: j.maxSize, Jobs: 1, Details: true, Progress: j.progress}
	r, err := inspect.Check(ctx, opt, j.inputs()...)
	if err != nil {
		return failed(err)
	}
	page := &htmlreport.Page{Command: "check", Version: version}
	verdicts := []any{}
	for i := range r.Files {
		c := &r.Files[i]
		page.Files = append(page.Files, htmlreport.File{Check: c, Info: c.Details})
		crash := ""
		if c.Signature != nil {
			crash = c.Signature.Text
		}
		verdicts = append(verdicts, map[string]any{
			"name": c.Path, "verdict": c.Verdict, "reason": c.Reason, "kind": c.Kind, "signature": crash, "converts": converts(c), "small": small(c),
		})
	}
	out := shown(page)
	out["verdict"], out["files"] = r.Verdict, verdicts
	out["json"] = document(struct {
		header
		*inspect.CheckReport
	}{header{"windmp/check/v1", version, codeOf(r)}, r})
	return out
}

// small says that a file is a small dump, converts that one can be made of it.
func small(c *inspect.FileCheck) bool { return c.Dump != nil && c.Dump.Type == "triage" }

func converts(c *inspect.FileCheck) bool {
	return c.Output != nil || c.Dump != nil && c.Verdict != "FAIL" && !small(c)
}

// triage makes a small dump of the first file.
func triage(ctx context.Context, j *job) map[string]any {
	var dump bytes.Buffer
	var details *inspect.InfoReport
	in := j.inputs()[0]
	r, err := convert.Stream(ctx, in, &dump, convert.Options{
		Plan:     plan.Options{Type: plan.OutputTriage},
		Examined: func(g *guest.Guest, p *plan.Plan) { details = inspect.Describe(in.Path(), g, p) },
		Progress: j.progress,
	})
	out := shown(&htmlreport.Page{Command: "convert", Version: version, Files: []htmlreport.File{{Convert: r, Info: details}}})
	out["verdict"] = r.Verdict
	out["json"] = document(struct {
		header
		*report.Report
	}{header{"windmp/convert/v1", version, exitcode.Of(err)}, r})
	if err != nil {
		maps.Copy(out, failed(err))
		return out
	}
	b := js.Global().Get("Uint8Array").New(dump.Len())
	js.CopyBytesToJS(b, dump.Bytes())
	out["dump"] = b
	return out
}

// failed is an answer that is none, in the words of the command.
func failed(err error) map[string]any {
	c := cause.Of(err)
	return map[string]any{"error": c.Sentence, "hint": c.Hint}
}

// inputs are the files, each with the others as its neighbours.
func (j *job) inputs() []source.Input {
	list := make([]source.Input, 0, len(j.files))
	for _, f := range j.files {
		list = append(list, source.Of(f))
	}
	return list
}

// shown is a page: to be shown in another, and to be saved.
func shown(p *htmlreport.Page) map[string]any {
	page, body, err := htmlreport.Make(p)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"html": string(body), "page": string(page)}
}

// document is JSON for people and programs.
func document(v any) string {
	b, _ := json.MarshalIndent(v, "", "  ") // all of it can be written
	return string(b) + "\n"
}

// codeOf is the exit code of a check.
func codeOf(r *inspect.CheckReport) int {
	codes := make([]int, len(r.Files))
	for i := range r.Files {
		codes[i] = exitcode.OfFile(r.Files[i].Err, r.Files[i].Verdict == "FAIL")
	}
	return exitcode.Worst(codes...)
}
