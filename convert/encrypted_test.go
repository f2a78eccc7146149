package convert_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/source"
	"windmp/internal/binio"
	"windmp/internal/qemutest"
	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/physmem/open"
)

// TestEncryptedGuest: memory that is noise throughout is that of an encrypted guest, in
// every container, with a note or without it; pages that it never touched, or shares
// with its host, may be plain.
func TestEncryptedGuest(t *testing.T) {
	t.Parallel()
	noise := rand.NewChaCha8([32]byte{3})
	for _, name := range []string{"guest-bsod.vmcore", "x86-bsod-2cpu.vmcore.gz", "shadow-user-2cpu.vmcore.gz"} {
		file := sampleCopy(t, name)
		var memory []byte
		for e := range imageOf(t, gunzip(t, name)).Extents(0) {
			part := file[e.Offset:][:e.Size]
			for at := 0; at < len(part); at += physmem.PageSize {
				page := part[at:min(at+physmem.PageSize, len(part))]
				if at/physmem.PageSize%8 != 7 || binio.IsZero(page) && at/physmem.PageSize%3 == 0 { // the rest was never touched
					_, _ = noise.Read(page)
				} else {
					clear(page)
				}
			}
			memory = append(memory, part...)
		}
		for format, content := range map[physmem.Format][]byte{"": file, physmem.FormatRaw: memory} {
			in, options := fileOf("encrypted", content), source.Options{Input: open.Options{Format: format}}
			_, _, err := inMemory(t, in, convert.Options{Source: options})
			var refused *finding.RefusedError
			require.ErrorAs(t, err, &refused, name)
			assert.Equal(t, finding.EncryptedMemory.ID(), refused.Finding.ID, "%s: %v", name, err)
			assert.True(t, refused.Unsupported)
			c := checkInput(t.Context(), in, inspect.CheckOptions{Source: options})
			assert.Equal(t, "FAIL", c.Verdict)
			assert.Contains(t, worseThanInfo(c), finding.EncryptedMemory.ID())
		}
	}
	// What can't be found for another reason is not encrypted.
	core := sampleCopy(t, "guest-bsod.vmcore")
	for i := range core[0x3000:] {
		core[0x3000+i] = byte(i >> 4)
	}
	_, _, err := convertBytes(t, core, convert.Options{})
	var refused *finding.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.NotEqual(t, finding.EncryptedMemory.ID(), refused.Finding.ID)
}

// sampleCopy is an unpacked sample that may be changed.
func sampleCopy(tb testing.TB, name string) []byte {
	tb.Helper()
	return testheap.Clone(tb, qemutest.Unpacked(tb, name))
}
