package atomicfile

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Names are shown as people know them, and nothing of them reaches a terminal as a
// command.
func TestQuote(t *testing.T) {
	t.Parallel()
	path := filepath.Join("Müller", "speicher.dmp")
	assert.Equal(t, `"`+path+`"`, quote(path))
	assert.Equal(t, `"a\x1b[2Jb"`, quote("a\x1b[2Jb"))
}
