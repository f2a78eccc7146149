package main

import (
	"encoding/json"
	"errors"
	"slices"

	"windmp/convert"
)

// header begins every command's one JSON document.
type header struct {
	// Schema names the document's form, windmp/COMMAND/v1; docs/schema has it.
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	ExitCode int    `json:"exit_code"`
}

func newHeader(schema string, err error) header {
	return header{Schema: schema, Version: version(), ExitCode: exitCode(err)}
}

// usageReport is the error part of a document without a report.
func usageReport(err error) *convert.ErrorReport {
	if err == nil {
		return nil
	}
	return &convert.ErrorReport{Message: err.Error(), Hint: convert.Hint(err)}
}

// emit prints a document; err is marked as told.
func (a *app) emit(document any, err error) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	if werr := enc.Encode(document); werr != nil {
		return errors.Join(err, werr)
	}
	if err == nil {
		return nil
	}
	return &printedError{err}
}

// usageJSON prints the document of a run that ended before its command began,
// for an option or argument that makes no sense.
func (a *app) usageJSON(cmd string, args []string, err error) error {
	var usage *convert.UsageError
	var printed *printedError
	if cmd == "" || !slices.Contains(args, "--json") || errors.As(err, &printed) || !errors.As(err, &usage) {
		return err
	}
	return a.emit(struct {
		header
		Error *convert.ErrorReport `json:"error,omitempty"`
	}{newHeader("windmp/"+cmd+"/v1", err), usageReport(err)}, err)
}
