package guest

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestGuestIsSmall: a guest is a value that is taken in at once. What is asked of it
// besides is a function.
func TestGuestIsSmall(t *testing.T) {
	t.Parallel()
	assert.LessOrEqual(t, reflect.TypeFor[*Guest]().NumMethod(), 15)
}
