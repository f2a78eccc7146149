package wincontext

import (
	"bytes"
	"testing"
)

func FuzzContext64(f *testing.F) {
	kernel, user := kernelContext(), userContext()
	const toRip = 0x100 // an input may be shorter than a CONTEXT: it is padded
	f.Add(kernel.Encode()[:toRip])
	f.Add(user.Encode()[:toRip])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeContext64(b)
		if (c == nil) == (err == nil) {
			t.Fatalf("value %v, error %v: want one of them", c != nil, err)
		}
		if err != nil {
			padded := make([]byte, ContextSize64)
			copy(padded, b)
			b = padded
			if c, err = DecodeContext64(b); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(b, c.Encode()) {
			t.Fatal("encoding changed the bytes")
		}
		if c.PlausibleSaved() == nil && (c.Plausible() != nil && c.SegCs != wowCS || c.SegCs == kernelCS && c.Rip < KernelStart64) {
			t.Fatalf("taken for what Windows saved: %+v", c)
		}
		if c.Plausible() == nil && (c.SegCs != kernelCS && c.SegCs != userCS || c.EFlags&2 == 0) {
			t.Fatalf("taken for plausible: %+v", c)
		}
		_ = c.ContextFlags.String()
	})
}

func FuzzContext32(f *testing.F) {
	f.Add(kernelContext32().Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		padded := make([]byte, ContextSize32)
		copy(padded, b)
		c, err := DecodeContext32(padded)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(padded, c.Encode()) {
			t.Fatal("encoding changed the bytes")
		}
		if c.PlausibleSaved() == nil && c.SegCs == kernelCS32 && c.EFlags&eflagsVirtual == 0 && (c.Eip < KernelStart32 || c.Esp < KernelStart32) {
			t.Fatalf("taken for the kernel's: %+v", c)
		}
		_ = c.ContextFlags.String()
	})
}
