package remote

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"windmp/physmem"
)

// Redact is a URL as it may be shown: without user, query and fragment, which may be
// secret. Of what is no URL it is the scheme.
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" {
		scheme, _, _ := strings.Cut(rawURL, "://")
		return scheme + "://…"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return shown.String()
}

// Name is the file's name in a URL, the last part of its path; empty if it has none.
func Name(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" || name == ".." || strings.ContainsAny(name, `\`+"\x00") {
		return ""
	}
	return name
}

// checkHeader refuses what is no header, without saying what its value was.
func checkHeader(h http.Header) error {
	for name, values := range h {
		if name == "" || strings.ContainsFunc(name, notToken) || slices.ContainsFunc(values, hasControls) {
			return &physmem.SourceError{Err: errors.New("the header " + strconv.QuoteToASCII(cut(name)) + " can't be sent")}
		}
	}
	return nil
}

// notToken reports whether a character can't be in a header's name (RFC 9110, 5.6.2).
func notToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// hasControls reports whether a header's value has characters that no value may have
// (RFC 9110, 5.5).
func hasControls(v string) bool {
	return strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// leastSecret is the length from which on a value is looked for in texts, in bytes:
// shorter ones are in them by chance.
const leastSecret = 6

// secretsOf are the parts of a URL, and the values of headers, that nobody else must
// see; as they are and as a URL has them. The longest come first.
func secretsOf(u *url.URL, h http.Header) (list []string) {
	add := func(v string) {
		if len(v) >= leastSecret {
			list = append(list, v, url.QueryEscape(v))
		}
	}
	if u.RawQuery != "" {
		add(u.RawQuery)
	}
	for _, values := range u.Query() {
		for _, v := range values {
			add(v)
		}
	}
	if password, ok := u.User.Password(); ok {
		add(password)
	}
	add(u.User.Username())
	for _, values := range h {
		for _, v := range values {
			add(v)
			if _, token, ok := strings.Cut(v, " "); ok {
				add(token)
			}
		}
	}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return list
}

// scrub is a text with nothing of what is secret.
func (s *Source) scrub(text string) string {
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return text
}

// expiry is until when a presigned URL is valid, as its query says: S3's and Google's
// signatures of version 4, S3's of version 2 and CloudFront's, Azure's shared access
// signature.
func expiry(query url.Values) (time.Time, bool) {
	for _, vendor := range []string{"X-Amz-", "X-Goog-"} {
		from, err := time.Parse("20060102T150405Z", query.Get(vendor+"Date"))
		seconds, err2 := strconv.ParseUint(query.Get(vendor+"Expires"), 10, 32)
		if err == nil && err2 == nil {
			return from.Add(time.Duration(seconds) * time.Second), true
		}
	}
	if n, err := strconv.ParseUint(query.Get("Expires"), 10, 40); err == nil {
		return time.Unix(int64(n), 0), true
	}
	if t, err := time.Parse(time.RFC3339, query.Get("se")); err == nil {
		return t, true
	}
	return time.Time{}, false
}
