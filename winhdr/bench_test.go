package winhdr

import "testing"

func BenchmarkDecode64(b *testing.B) {
	raw := goodHeader().Encode()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := X64.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode64(b *testing.B) {
	h := goodHeader()
	b.SetBytes(int64(h.Size()))
	b.ReportAllocs()
	for b.Loop() {
		_ = h.Encode()
	}
}

func BenchmarkCheck(b *testing.B) {
	h := goodHeader()
	b.ReportAllocs()
	for b.Loop() {
		if problems := h.Check(); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
