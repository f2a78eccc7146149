package heading_test

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/heading"
)

// TestGroups: flags stand under their headings, in the order of these and of their
// own, and are parsed as they were without.
func TestGroups(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	var changed func(string) bool
	heading.Limits.Put(fs, func(fs *pflag.FlagSet) {
		fs.Int("z", 0, "")
		fs.IntP("a", "a", 0, "")
		changed = fs.Changed
	})
	fs.Bool("own", false, "")
	fs.Bool("help", false, "")
	heading.Dump.Put(fs, func(fs *pflag.FlagSet) { fs.Bool("b", false, "") })

	got := map[heading.Heading][]string{}
	var order []heading.Heading
	for _, g := range heading.Groups(fs) {
		order = append(order, g.Heading)
		g.Flags.VisitAll(func(f *pflag.Flag) { got[g.Heading] = append(got[g.Heading], f.Name) })
	}
	assert.Equal(t, []heading.Heading{heading.Own, heading.Dump, heading.Limits}, order)
	assert.Equal(t, map[heading.Heading][]string{
		heading.Own: {"own", "help"}, heading.Dump: {"b"}, heading.Limits: {"z", "a"},
	}, got)
	require.NoError(t, fs.Parse([]string{"-a", "1"}))
	assert.True(t, changed("a"))
	assert.False(t, changed("z"))

	heading.Printing.Put(fs, func(fs *pflag.FlagSet) { fs.Bool("json", false, "") })
	list := heading.Groups(fs)
	assert.Equal(t, heading.Printing, list[2].Heading)
	assert.NotNil(t, list[2].Flags.Lookup("help"))
}
