package atomicfile

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Names are shown as people know them, and nothing of them reaches a terminal as a
// command.
func TestQuote(t *testing.T) {
	t.Parallel()
	path := filepath.Join("Müller", "speicher.dmp")
	assert.Equal(t, path, Quote(path))
	assert.Equal(t, `"a\x1b[2Jb"`, Quote("a\x1b[2Jb"))
	assert.Equal(t, `"my dump.dmp"`, Quote("my dump.dmp"))
	assert.Equal(t, `""`, Quote(""))
	assert.Equal(t, `"it's"`, Quote("it's"))
}

// An unfinished file is spoken of by the name that it is to get.
func TestTarget(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		".x.dmp.123.windmp-part":               "x.dmp",
		filepath.Join("a", ".x.1.windmp-part"): filepath.Join("a", "x"),
		"x.dmp":                                "x.dmp",
		".x.dmp.windmp-part":                   ".x.dmp.windmp-part",
		".x.y.windmp-part":                     ".x.y.windmp-part",
		"x.1.windmp-part":                      "x.1.windmp-part",
		".windmp-part":                         ".windmp-part",
		".12.windmp-part":                      ".12.windmp-part",
	} {
		assert.Equal(t, want, Target(path), path)
	}
	f, _, err := Create(filepath.Join(t.TempDir(), "out.dmp"))
	require.NoError(t, err)
	assert.Equal(t, f.target, Target(f.Name()))
	require.NoError(t, f.Discard())
}
