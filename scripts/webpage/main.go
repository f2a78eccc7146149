// Command webpage puts the page that judges dumps in the browser together, as one file:
//
//	webpage MODULE >index.html
//
// MODULE is windmp as WebAssembly, packed by gzip. Scripts and styles stand on the page,
// and its policy names each by its digest: so it allows no address at all.
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"

	"windmp/convert/htmlreport"
)

// folder is where the page's parts are.
const folder = "web/page"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "webpage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: webpage MODULE")
	}
	text, err := read(filepath.Join(folder, "index.html"))
	if err != nil {
		return err
	}
	page, err := template.New("page").Parse(text)
	if err != nil {
		return err
	}
	scripts, err := scripts(args[0])
	if err != nil {
		return err
	}
	own, err := read(filepath.Join(folder, "app.css"))
	if err != nil {
		return err
	}
	styles := []string{htmlreport.Style(), own}
	for _, s := range append(scripts, styles...) {
		if strings.Contains(s, "</script") || strings.Contains(s, "</style") || strings.Contains(s, "<!--") {
			return errors.New("a script or style has what ends it in HTML")
		}
	}
	return page.Execute(os.Stdout, map[string]any{
		"Scripts": scripts, "Styles": styles, "ScriptDigests": digests(scripts), "StyleDigests": digests(styles),
	})
}

// scripts are those of the page, in their order.
func scripts(module string) ([]string, error) {
	wasm, err := os.ReadFile(module)
	if err != nil {
		return nil, err
	}
	runtimeScript, err := read(filepath.Join(runtime.GOROOT(), "lib", "wasm", "wasm_exec.js")) //nolint:staticcheck // of the Go that runs this
	if err != nil {
		return nil, err
	}
	worker, err := read(filepath.Join(folder, "worker.js"))
	if err != nil {
		return nil, err
	}
	texts, err := read(filepath.Join(folder, "texts.js"))
	if err != nil {
		return nil, err
	}
	app, err := read(filepath.Join(folder, "app.js"))
	if err != nil {
		return nil, err
	}
	// json.Marshal writes < as an escape.
	quoted, err := json.Marshal(runtimeScript + "\n" + worker)
	if err != nil {
		return nil, err
	}
	return []string{
		texts, htmlreport.Script(),
		fmt.Sprintf("\"use strict\";\nconst windmpWorker = %s;\nconst windmpModule = %q;\n", quoted, base64.StdEncoding.EncodeToString(wasm)),
		app,
	}, nil
}

// digests are as a policy has them (Content Security Policy Level 3, 2.3.1).
func digests(texts []string) string {
	list := make([]string, 0, len(texts))
	for _, s := range texts {
		sum := sha256.Sum256([]byte(s))
		list = append(list, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	return strings.Join(list, " ")
}

func read(path string) (string, error) {
	b, err := os.ReadFile(path)
	return string(b), err
}
