package convert_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/report"
)

// convertCase converts a case from the field.
func convertCase(t *testing.T, name string) ([]byte, *report.Report) {
	t.Helper()
	file, err := os.ReadFile(caseFile(t, name))
	require.NoError(t, err)
	dmp, r, err := convertBytes(t, file, convert.Options{})
	require.NoError(t, err)
	return dmp, r
}

// TestCasesFound: the guests are found, and said to be odd by a warning.
func TestCasesFound(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		dtb, kdbg uint64
		warning   string
	}{
		"N05.elf": {0x28b000, 0xfffff80042800b20, finding.NoteStale.ID()},
		"N06.elf": {0x28b000, 0xfffff80042800b20, finding.NoteUseless.ID()},
		"N07.elf": {0x28b000, 0xfffff80042800b20, finding.NoteUseless.ID()},
		"N09.elf": {0x28b000, 0xfffff80042800b20, finding.NoteStale.ID()},
		"N11.elf": {0x28b000, 0xfffff80042800b20, finding.DTBReplaced.ID()},
		"W10.elf": {0x28b000, 0xfffff80042800b20, finding.KernelImage.ID()},
		"W11.elf": {0x28b000, 0xfffff80042800b20, finding.KernelImage.ID()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dmp, r := convertCase(t, name)
			assert.Equal(t, "WARN", r.Verdict)
			require.NotNil(t, findingOf(r, want.warning))
			assert.Equal(t, want.dtb, u64(dmp, 0x10))
			assert.Equal(t, want.kdbg, u64(dmp, 0x80))
			assert.Equal(t, uint32(2), u32(dmp, 0x34))
		})
	}
}

// TestCasesAsWithoutNote: a note that leads nowhere costs a warning and nothing else.
func TestCasesAsWithoutNote(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"N05.elf", "N06.elf", "N07.elf", "N09.elf"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := os.ReadFile(caseFile(t, name))
			require.NoError(t, err)
			got, _, err := convertBytes(t, file, convert.Options{})
			require.NoError(t, err)
			at := bytes.Index(file, []byte("VMCOREINFO\x00"))
			require.Positive(t, at)
			copy(file[at:], "NOTHINGATA")
			want, _, err := convertBytes(t, file, convert.Options{})
			require.NoError(t, err)
			equalButFor(t, want, got, nil)
		})
	}
}
