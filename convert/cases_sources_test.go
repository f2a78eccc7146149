package convert_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/inspect"
	"windmp/convert/source"
	"windmp/physmem"
)

// checkOf is what check says of a file.
func checkOf(t *testing.T, path string, opt inspect.CheckOptions) *inspect.FileCheck {
	t.Helper()
	r, err := inspect.Check(context.Background(), opt, source.File(path))
	require.NoError(t, err)
	return &r.Files[0]
}

// TestCasesNamed: files from the field that hold no memory that is read here are named,
// with the way to a dump.
func TestCasesNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"X01.bin": {"a Xen core"},
		"X03.bin": {"VMware", ".vmem", "raw memory is read if raw is given as its format"},
		"X04.bin": {"Hyper-V saved state", "WinDbg"},
		"X07.bin": {"EWF", "ewfexport"},
		"X08.bin": {"hibernation file"},
		"X13.bin": {"cabinet", "unpack it first", "WinDbg opens"},
		"X16.bin": {"raw memory", "raw memory is read if raw is given as its format"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := checkOf(t, caseFile(t, name), inspect.CheckOptions{})
			assert.Equal(t, "FAIL", c.Verdict)
			require.Len(t, c.Findings, 1)
			assert.Equal(t, "WD151", c.Findings[0].ID)
			for _, w := range want {
				assert.Contains(t, c.Findings[0].Message, w)
			}
			_, unknown := physmem.WhyNotMine(c.Err)
			assert.False(t, unknown)
		})
	}
}
