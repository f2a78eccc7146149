package wincontext

import "testing"

func BenchmarkContext64(b *testing.B) {
	c := kernelContext()
	raw := c.Encode()
	b.SetBytes(ContextSize64)
	b.ReportAllocs()
	for b.Loop() {
		c, err := DecodeContext64(raw)
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Encode()
	}
}
