// Command webpage puts the page that judges dumps in the browser together, as one file:
//
//	webpage SCRIPT >index.html
//
// SCRIPT is all of its scripts, as scripts/web bundles them. Script and style stand on the
// page, and its policy names each by its digest: so it allows no address at all.
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"windmp/convert/htmlreport"
)

const (
	// folder is where the page's parts are.
	folder = "web/page"
	// texts is what the page says, the elements' texts among them.
	texts = "web/element/texts.json"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "webpage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: webpage SCRIPT")
	}
	page, err := template.New("index.html").Option("missingkey=error").ParseFiles(filepath.Join(folder, "index.html"))
	if err != nil {
		return err
	}
	script, err := read(args[0])
	if err != nil {
		return err
	}
	own, err := read(filepath.Join(folder, "page.css"))
	if err != nil {
		return err
	}
	style := htmlreport.Style() + own
	if strings.Contains(script, "</script") || strings.Contains(script, "<!--") || strings.Contains(style, "</style") {
		return errors.New("the script or style has what ends it in HTML")
	}
	words, err := escapedTexts()
	if err != nil {
		return err
	}
	return page.Execute(os.Stdout, map[string]any{
		"Script": script, "Style": style, "ScriptDigest": digest(script), "StyleDigest": digest(style), "Texts": words,
	})
}

// escapedTexts are the texts by their names, as HTML has them. A name that is not there is
// an error of the template.
func escapedTexts() (map[string]string, error) {
	file, err := os.ReadFile(texts)
	if err != nil {
		return nil, err
	}
	words := map[string]string{}
	if err := json.Unmarshal(file, &words); err != nil {
		return nil, fmt.Errorf("%s: %w", texts, err)
	}
	for name, text := range words {
		words[name] = html.EscapeString(text)
	}
	return words, nil
}

// digest is as a policy has it (Content Security Policy Level 3, 2.3.1).
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func read(path string) (string, error) {
	b, err := os.ReadFile(path)
	return string(b), err
}
