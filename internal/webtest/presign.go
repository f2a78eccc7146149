package webtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Presigned is a URL with which anybody may do one thing with an object for some time
// (Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters").
func (s *Server) Presigned(method, key string, valid time.Duration) string {
	const region, algorithm = "us-east-1", "AWS4-HMAC-SHA256"
	now := time.Now().UTC()
	date, stamp := now.Format("20060102"), now.Format("20060102T150405Z")
	scope := date + "/" + region + "/s3/aws4_request"
	host := strings.TrimPrefix(s.URL, "http://")
	path := (&url.URL{Path: "/" + Bucket + "/" + key}).EscapedPath()
	query := url.Values{
		"X-Amz-Algorithm": {algorithm}, "X-Amz-Credential": {AccessKey + "/" + scope}, "X-Amz-Date": {stamp},
		"X-Amz-Expires": {strconv.Itoa(int(valid.Seconds()))}, "X-Amz-SignedHeaders": {"host"},
	}.Encode()
	request := strings.Join([]string{method, path, query, "host:" + host, "", "host", "UNSIGNED-PAYLOAD"}, "\n")
	text := strings.Join([]string{algorithm, stamp, scope, hex.EncodeToString(sum(request))}, "\n")
	sign := []byte("AWS4" + secretKey)
	for _, part := range []string{date, region, "s3", "aws4_request", text} {
		m := hmac.New(sha256.New, sign)
		m.Write([]byte(part))
		sign = m.Sum(nil)
	}
	return s.URL + path + "?" + query + "&X-Amz-Signature=" + hex.EncodeToString(sign)
}

func sum(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

// Put makes an object, as a client of the store does.
func (s *Server) Put(tb testing.TB, key string, data []byte) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPut, s.Presigned(http.MethodPut, key, time.Hour), bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusOK {
		tb.Fatal(fmt.Errorf("putting %s: %s", key, resp.Status))
	}
}
