//go:build windows

package wildcards

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a.dmp", "b.dmp", "[c].dmp", "d.txt"} {
		require.NoError(t, os.WriteFile(file(name), nil, 0o600))
	}
	assert.Equal(t, []string{file("a.dmp"), file("b.dmp"), file("d.txt")}, Expand([]string{file("?.dmp"), file("d.txt")}))
	assert.ElementsMatch(t, []string{file("a.dmp"), file("b.dmp"), file("[c].dmp")}, Expand([]string{file("*.dmp")}))
	for _, same := range []string{file("*.none"), file("[c].dmp"), `\\?\` + file("a.dmp"), file("none")} {
		assert.Equal(t, []string{same}, Expand([]string{same}))
	}
}
