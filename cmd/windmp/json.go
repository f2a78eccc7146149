package main

import (
	"encoding/json"
	"errors"
	"io"

	"windmp/convert/exitcode"
)

// header begins every command's one JSON document.
type header struct {
	// Schema names the document's form, windmp/COMMAND/v1; docs/schema has it.
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	ExitCode int    `json:"exit_code"`
}

func newHeader(schema string, err error) header {
	return header{Schema: schema, Version: version(), ExitCode: exitcode.Of(err)}
}

// encode writes a document for people and programs, in the command's words: none of
// those that are translated has a character that JSON writes otherwise.
func encode(w io.Writer, document any) error {
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, withFlags(string(text))+"\n")
	return err
}

// printJSON prints a document on standard output.
func (a *app) printJSON(document any) error { return encode(a.stdout, document) }

// emit prints a document; err is marked as told.
func (a *app) emit(document any, err error) error {
	if werr := a.printJSON(document); werr != nil {
		return errors.Join(err, werr)
	}
	if err == nil {
		return nil
	}
	return &printedError{err}
}
