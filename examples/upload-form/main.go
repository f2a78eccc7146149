// Command upload-form serves a form for tickets and takes what it sends: the small dump
// that the visitor's browser made of a memory image, and the document of the check.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"

	"windmp/convert/inspect"
	"windmp/convert/source"
)

//go:embed form.html
var form []byte

// policy lets the page send its form here, and connect to nothing. Its style is named by its
// digest.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; img-src data:; style-src 'sha256-lF8nEQSM9axUJoyi19JXEPRIatl1ySfDNPty98F61nU='; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func main() {
	listen := flag.String("listen", "localhost:8080", "where to listen")
	element := flag.String("element", "build/web/windmp-check", "the element's `folder`, as make web builds it")
	tickets := flag.String("tickets", ".", "the `folder` that gets a folder for each ticket")
	flag.Parse()
	http.Handle("GET /windmp-check/", http.StripPrefix("/windmp-check/", http.FileServer(http.Dir(*element))))
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		_, _ = w.Write(form)
	})
	http.HandleFunc("POST /tickets", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 4<<20) // small dumps have 1 MiB at most
		ticket, err := os.MkdirTemp(*tickets, "ticket-")
		if err == nil {
			err = take(r, ticket)
		}
		if err != nil {
			_ = os.RemoveAll(ticket)
			http.Error(w, "refused: "+err.Error(), http.StatusUnprocessableEntity)
			return
		}
		_, _ = fmt.Fprintln(w, "thank you, this is", filepath.Base(ticket))
	})
	log.Fatal(http.ListenAndServe(*listen, nil)) //nolint:gosec // an example
}

// take keeps what the form sends. What a browser says proves nothing: the small dump is
// judged once more, here.
func take(r *http.Request, ticket string) error {
	dump := filepath.Join(ticket, "small.dmp")
	for field, path := range map[string]string{"dump": dump, "dump-report": filepath.Join(ticket, "check.json")} {
		sent, _, err := r.FormFile(field)
		if err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		data, err := io.ReadAll(sent)
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			return err
		}
	}
	judged, err := inspect.Check(r.Context(), inspect.CheckOptions{}, source.File(dump))
	if err != nil {
		return err
	}
	if c := judged.Files[0]; c.Verdict == "FAIL" || c.Dump == nil || c.Dump.Type != "triage" {
		return fmt.Errorf("no small dump: %s", c.Reason)
	}
	return nil
}
