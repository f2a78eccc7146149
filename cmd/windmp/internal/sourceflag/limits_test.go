package sourceflag

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/source"
	"windmp/convert/stage"
)

// TestLimitFlags: a limit is one, or an error.
func TestLimitFlags(t *testing.T) {
	t.Parallel()
	limits := func(args ...string) (source.Limits, error) {
		var f Limits
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.Register(fs)
		require.NoError(t, fs.Parse(args))
		return f.limits()
	}
	l, err := limits()
	require.NoError(t, err)
	assert.Zero(t, l)
	l, err = limits("--timeout=90s", "--max-read=64MB")
	require.NoError(t, err)
	assert.Equal(t, source.Limits{MaxRead: 64e6, Timeout: 90e9}, l)
	for _, bad := range []string{"--timeout=0s", "--timeout=-1s", "--max-read=", "--max-read=0", "--max-read=-5", "--max-read=much"} {
		_, err := limits(bad)
		require.ErrorAs(t, err, new(*stage.UsageError), bad)
	}
}
