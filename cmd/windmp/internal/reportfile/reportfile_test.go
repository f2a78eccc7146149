package reportfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/reportfile"
)

// TestSameReportFile: two names of one file are one, also where it is not there yet.
func TestSameReportFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("a"), nil, 0o600))
	require.NoError(t, os.WriteFile(at("b"), nil, 0o600))
	require.NoError(t, os.Link(at("a"), at("hard")))
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{at("a"), at("a"), true},
		{at("a"), at("hard"), true},
		{at("a"), dir + "/./a", true},
		{at("a"), at("b"), false},
		{at("new"), dir + "/../" + filepath.Base(dir) + "/new", true},
		{at("new"), at("newer"), false},
		{at("a"), at("new"), false},
		{at("no/new"), at("no/new"), false},
	} {
		assert.Equal(t, tc.want, reportfile.Same(tc.a, tc.b), "%s %s", tc.a, tc.b)
	}
}
