package convert_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/convert/inspect"
)

// TestCasesXen: X01 is a core as xl dump-core lays it out, of four pages that hold no
// Windows, with zeros for registers and a magic number of nobody's. It is read, and says
// so of each.
func TestCasesXen(t *testing.T) {
	t.Parallel()
	c := checkOf(t, caseFile(t, "X01.bin"), inspect.CheckOptions{})
	assert.Equal(t, "FAIL", c.Verdict)
	assert.Equal(t, []string{"WD103", "WD322"}, worseThanInfo(c))
}
