package remote_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"windmp/internal/remote"
	"windmp/physmem"
)

// far is a server of 64 MiB whose answers begin some time after the request.
func far(b *testing.B, latency time.Duration) *server {
	b.Helper()
	s := &server{data: contents(64 << 20), etag: `"one"`}
	s.fault = func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		time.Sleep(latency)
		s.serve(w, r)
		return true
	}
	s.Server = httptest.NewServer(s)
	b.Cleanup(s.Close)
	return s
}

// BenchmarkCopy reads a file in order in blocks of 256 KiB, as a copy does: announced,
// as what follows what was read, and in single reads that are far apart.
func BenchmarkCopy(b *testing.B) {
	const block = 256 << 10
	for _, latency := range []time.Duration{0, 20 * time.Millisecond} {
		for _, how := range []string{"announced", "inOrder", "scattered"} {
			b.Run(how+"/"+latency.String(), func(b *testing.B) {
				s := far(b, latency)
				size := int64(len(s.data))
				if how == "scattered" {
					size /= 4
				}
				b.SetBytes(size)
				buf := make([]byte, block)
				for b.Loop() {
					src, err := remote.Open(b.Context(), s.URL, remote.Options{})
					if err != nil {
						b.Fatal(err)
					}
					if how == "announced" {
						src.Announce(func(yield func(physmem.Stretch) bool) { yield(physmem.Stretch{Size: size}) })
					}
					for at := int64(0); at < size; at += block {
						off := at
						if how == "scattered" {
							off = at / block * 17 % (size / block) * 4 * block
						}
						if _, err := src.ReadAt(buf, off); err != nil {
							b.Fatal(err)
						}
					}
					if err := src.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(s.requests.Load())/float64(b.N), "requests/op")
			})
		}
	}
}
