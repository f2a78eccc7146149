package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/reportfile"
	"windmp/convert/exitcode"
	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/convert/stage"
)

// ended is what a run left that came to its end with err, with a report whose
// folder is gone by then.
func ended(t *testing.T, asJSON bool, err error) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdout: &out, stderr: &errs}
	a.out.json, a.out.report = asJSON, filepath.Join(t.TempDir(), "gone", "report.json")
	err = a.finish(outcome{
		schema: convertSchema, err: err,
		document: func(h header, e *report.Error) any { return document{header: h, Error: e} },
		text:     func() error { _, err := out.WriteString("done\n"); return err },
	})
	a.printError(err)
	return exitcode.Of(err), out.String(), errs.String()
}

// TestReportFailsAtTheEnd: the work is done, only its report can't be written.
func TestReportFailsAtTheEnd(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := ended(t, false, nil)
	assert.Equal(t, exitcode.Failed, code)
	assert.Equal(t, "done\n", stdout)
	assert.Regexp(t, "^windmp: the folder .*gone does not exist\nhint: Make the folder first.\n$", stderr)

	code, stdout, stderr = ended(t, true, nil)
	assert.Equal(t, exitcode.Failed, code)
	assert.Empty(t, stderr)
	var d document
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	assert.Equal(t, exitcode.Failed, d.ExitCode)
	assert.Equal(t, string(stage.Report), d.Error.Stage)

	code, _, stderr = ended(t, false, &finding.RefusedError{Finding: finding.Finding{Message: "no good"}})
	assert.Equal(t, exitcode.Verdict, code, "the run's own failure decides")
	assert.Contains(t, stderr, "no good")
	assert.Contains(t, stderr, "; also the folder ")
}

// TestSameReportFile: two names of one file are one, also where it is not there yet.
func TestSameReportFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("a"), nil, 0o600))
	require.NoError(t, os.WriteFile(at("b"), nil, 0o600))
	require.NoError(t, os.Link(at("a"), at("hard")))
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{at("a"), at("a"), true},
		{at("a"), at("hard"), true},
		{at("a"), dir + "/./a", true},
		{at("a"), at("b"), false},
		{at("new"), dir + "/../" + filepath.Base(dir) + "/new", true},
		{at("new"), at("newer"), false},
		{at("a"), at("new"), false},
		{at("no/new"), at("no/new"), false},
	} {
		assert.Equal(t, tc.want, reportfile.Same(tc.a, tc.b), "%s %s", tc.a, tc.b)
	}
}
