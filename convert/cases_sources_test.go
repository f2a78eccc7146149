package convert_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
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
		"X03.bin": {"VMware", ".vmem", "Raw memory is read if raw is given as its format"},
		"X04.bin": {"Hyper-V saved state", "WinDbg"},
		"X07.bin": {"EWF", "ewfexport"},
		"X08.bin": {"hibernation file"},
		"X13.bin": {"cabinet", "Unpack it first", "WinDbg opens"},
		"X16.bin": {"raw memory", "Raw memory is read if raw is given as its format"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := checkOf(t, caseFile(t, name), inspect.CheckOptions{})
			assert.Equal(t, "FAIL", c.Verdict)
			require.Len(t, c.Findings, 1)
			assert.Equal(t, "WD151", c.Findings[0].ID)
			for _, w := range want {
				assert.Contains(t, c.Findings[0].Message+"; "+c.Findings[0].Advice, w)
			}
		})
	}
}

// TestCasesEncrypted: that a dump is encrypted is said, and what to do.
func TestCasesEncrypted(t *testing.T) {
	t.Parallel()
	path := caseFile(t, "K03.dmp")
	c := checkOf(t, path, inspect.CheckOptions{})
	assert.Equal(t, "FAIL", c.Verdict)
	assert.Contains(t, c.Reason, "encrypted")
	require.Len(t, c.Findings, 1)
	assert.Contains(t, c.Findings[0].Advice, "KernelDumpDecrypt.exe")
}

// TestCasesHeaderAlone: a header without memory still says what it says.
func TestCasesHeaderAlone(t *testing.T) {
	t.Parallel()
	path := caseFile(t, "K11.dmp")
	r, err := inspect.Info(context.Background(), source.File(path), inspect.InfoOptions{})
	require.Error(t, err)
	require.NotNil(t, r.System)
	assert.EqualValues(t, 19041, r.System.Build)
	assert.Equal(t, []report.Range{{PA: 0x1000, Size: 0x9e000}, {PA: 0x100000, Size: 0x2e0000}}, r.Memory.ListedRanges)
	for _, level := range []inspect.CheckLevel{inspect.CheckHeader, inspect.CheckQuick} {
		c := checkOf(t, path, inspect.CheckOptions{Level: level})
		assert.Equal(t, "FAIL", c.Verdict)
		require.NotNil(t, c.System)
	}
}

// TestCasesNewerTypes: dumps of types 8, 9 and 10 are read, and become full dumps that
// nothing speaks against.
func TestCasesNewerTypes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"K05.dmp", "K06.dmp", "K07.dmp"} {
		path := caseFile(t, name)
		assert.Equal(t, []string{"WD261"}, worseThanInfo(checkOf(t, path, inspect.CheckOptions{Level: inspect.CheckFull})))
		for _, typ := range []string{"full", "bitmap"} {
			out := filepath.Join(t.TempDir(), "out.dmp")
			r, err := convert.File(context.Background(), path, out, convertTo(t, typ))
			require.NoError(t, err)
			assert.Equal(t, "OK", r.Verdict)
			assert.EqualValues(t, 0x37e, r.Output.Pages)
			assert.Empty(t, worseThanInfo(checkOf(t, out, inspect.CheckOptions{})))
		}
	}
}
