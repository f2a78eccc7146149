package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFlagWords: what is translated is what the libraries say.
func TestFlagWords(t *testing.T) {
	t.Parallel()
	var libraries strings.Builder
	for _, dir := range []string{"convert", "physmem"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(repository, dir), func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
				return err
			}
			text, err := os.ReadFile(name)
			libraries.Write(text)
			return err
		}))
	}
	for i := 0; i < len(flagWords); i += 2 {
		said := strings.TrimPrefix(flagWords[i], "the given ") // the names stand in a list
		assert.Contains(t, libraries.String(), strings.TrimSpace(said))
		assert.Equal(t, flagWords[i+1], withFlags(flagWords[i]))
	}
}
