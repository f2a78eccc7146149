package guest

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/winhdr"
)

// TestGuestIsSmall: a guest is a value that is taken in at once. What is asked of it
// besides is a function.
func TestGuestIsSmall(t *testing.T) {
	t.Parallel()
	assert.LessOrEqual(t, reflect.TypeFor[*Guest]().NumMethod(), 15)
}

// TestGuestIsNotChanged: what it hands out is the caller's.
func TestGuestIsNotChanged(t *testing.T) {
	t.Parallel()
	h := winhdr.X64.New()
	h.NumberProcessors = 4
	g := OfHeader(h)
	h.NumberProcessors = 5
	g.Header().NumberProcessors = 6
	g.Origin().Original.NumberProcessors = 7
	assert.Equal(t, uint32(4), g.Header().NumberProcessors)
	assert.Equal(t, uint32(4), g.Origin().Original.NumberProcessors)
}
