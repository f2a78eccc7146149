package physmem_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/physmem"
)

// TestStateText: what a forged file calls a machine is shown only where it is a name.
func TestStateText(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "pc-q35-7.2", "Büro – win11", strings.Repeat("x", 255)} {
		assert.Equal(t, name, physmem.StateText(name))
	}
	for _, name := range []string{"a\nb", "\x1b[2J", "\xff", "cut \xc3", "\u202egnirts", strings.Repeat("x", 256)} {
		assert.Empty(t, physmem.StateText(name), "%q", name)
	}
}
