//go:build windows

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExpandWildcards(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a.dmp", "b.dmp", "[c].dmp", "d.txt"} {
		require.NoError(t, os.WriteFile(file(name), nil, 0o600))
	}
	assert.Equal(t, []string{file("a.dmp"), file("b.dmp"), file("d.txt")}, expandWildcards([]string{file("?.dmp"), file("d.txt")}))
	assert.ElementsMatch(t, []string{file("a.dmp"), file("b.dmp"), file("[c].dmp")}, expandWildcards([]string{file("*.dmp")}))
	for _, same := range []string{file("*.none"), file("[c].dmp"), `\\?\` + file("a.dmp"), file("none")} {
		assert.Equal(t, []string{same}, expandWildcards([]string{same}))
	}
}
