package open

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSignaturesAreDocumented: docs/formats.md has what is recognised, in its words.
func TestSignaturesAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/formats.md")
	require.NoError(t, err)
	for i := range signatures {
		s := &signatures[i]
		assert.Contains(t, string(text), "| "+s.what+" |")
		assert.LessOrEqual(t, s.offset+len(s.bytes), sniffSize)
		assert.NotEmpty(t, s.bytes)
		// A signature with a hidden one behind it would never be told.
		for j := range signatures[:i] {
			before := &signatures[j]
			assert.False(t, before.fits == nil && before.offset == s.offset && strings.HasPrefix(s.bytes, before.bytes), "%q hides %q", before.what, s.what)
		}
	}
}
