package sourceflag

import (
	"maps"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"windmp/cmd/windmp/internal/flagvalue"
	"windmp/convert/source"
	"windmp/convert/stage"
)

// HeadersVariable is the variable of the environment that has headers for URLs, one a line: what is on a command line, other
// users of the machine can read.
const HeadersVariable = "WINDMP_HEADER"

// Web says how a FILE that is a URL is read.
type Web struct {
	headers  flagvalue.Headers
	download bool
}

func (f *Web) register(fs *pflag.FlagSet) {
	fs.Var(&f.headers, "header", "for a URL: a header that its server wants, 'NAME: VALUE'; repeatable, or a line each in $"+HeadersVariable)
	fs.BoolVar(&f.download, "download", false, "for a URL whose server does not send parts of a file: fetch all of it to a temporary file first")
}

// options adds the headers of the environment to those of the flags, which come first.
func (f *Web) options() (source.Web, error) {
	all := http.Header{}
	if !addHeaders(all, os.Getenv(HeadersVariable)) {
		return source.Web{}, &stage.UsageError{Reason: "a line of $" + HeadersVariable + " is no header", Hint: headerHint}
	}
	given := http.Header{}
	for _, text := range f.headers {
		if !addHeaders(given, text) {
			return source.Web{}, &stage.UsageError{Reason: "the value of --header is no header", Hint: headerHint}
		}
	}
	maps.Copy(all, given)
	return source.Web{Header: all, Download: f.download}, nil
}

const headerHint = "it is 'NAME: VALUE', for example 'Authorization: Bearer TOKEN'"

// addHeaders adds those in a text, one a line, and reports whether it is one.
func addHeaders(h http.Header, text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !found || name == "" || strings.ContainsAny(name, " \t") {
			return false
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return true
}
