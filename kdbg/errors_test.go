package kdbg

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestErrorTexts: each names the place, what was seen and what was expected.
func TestErrorTexts(t *testing.T) {
	t.Parallel()
	const at = 0xfffff80000000000
	b := &Block{VA: at, Raw: make([]byte, 0x208)}
	for _, c := range []struct {
		err  error
		want string
	}{
		{wrongTag(at, 1), "OwnerTag at 0xfffff80000000010: got 0x1, want 0x4742444b (\"KDBG\")"},
		{wrongSize(at, 7), "Size at 0xfffff80000000014: got 0x7, want a multiple of 8 in 0x208..0x800"},
		{b.Mismatch("KernBase", 0x18, 1, "a page"), "KernBase at 0xfffff80000000018 (+0x18): got 0x1, want a page"},
		{b.absent("NtBuildLab", 0x208), "NtBuildLab at +0x208: not in this debugger data block of 0x208 bytes"},
		{&PointerError{What: "KDBG.NtBuildLab", Got: 1}, "KDBG.NtBuildLab: got 0x1, want a kernel address"},
		{&PointerError{What: "KPRCB.Context", At: at, Got: 1}, "KPRCB.Context at 0xfffff80000000000: got 0x1, want a kernel address"},
		{truncated(at, 2, 0x18, errors.New("null")), "debugger data block at 0xfffff80000000000: only 0x2 of 0x18 bytes are readable: null"},
		{notEncoded(at, 1, 2), "no encoded block at 0xfffff80000000000: none of the 64 rotations makes the qwords 0x1 at +0x10 and 0x2 at +0x138 a \"KDBG\" tag with a size and a page size of 0x1000"},
	} {
		assert.EqualError(t, c.err, c.want)
	}
}
