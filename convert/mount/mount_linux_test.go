package mount

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// The library passes on a wait status, which looks like an exit code and is none.
func TestMountError(t *testing.T) {
	err := mountError(errors.New("fusermount exited with code 256"), &Options{})
	require.EqualError(t, err, "mounting: fusermount3 refused it (a container needs the right to mount, CAP_SYS_ADMIN)")
	err = mountError(errors.New("operation not permitted"), &Options{})
	require.ErrorContains(t, err, "mounting: operation not permitted (")
}
