//go:build windows

package atomicfile

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLongPathForm(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		`C:\dumps\guest.dmp`:     `\\?\C:\dumps\guest.dmp`,
		`C:/dumps/../guest.dmp.`: `\\?\C:\guest.dmp`,
		`\\server\share`:         `\\?\UNC\server\share`,
		`\\server\share\x.dmp`:   `\\?\UNC\server\share\x.dmp`,
		`\\?\C:\dumps\x.dmp`:     `\\?\C:\dumps\x.dmp`,
	} {
		got, err := longPath(name)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}
