package convert_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/physmem"
)

// TestInfoHeaderOnly: of dumps whose memory is not read, info shows the header;
// the other commands refuse them.
func TestInfoHeaderOnly(t *testing.T) {
	t.Parallel()
	dmp := gunzip(t, samplePath("guest-bsod.win-dmp.gz"))[:0x3000]
	for typ, what := range map[uint32]string{4: "triage", 8: "RDMP"} {
		path := filepath.Join(t.TempDir(), "small.dmp")
		binary.LittleEndian.PutUint32(dmp[0xf98:], typ)
		require.NoError(t, os.WriteFile(path, dmp, 0o600))
		r, err := inspect.Info(context.Background(), source.File(path), inspect.InfoOptions{Modules: true, Processes: true})
		require.NoError(t, err)
		assert.Contains(t, r.Input.Description, what)
		assert.EqualValues(t, 0x3000, r.Input.Size)
		require.NotNil(t, r.Dump)
		require.NotNil(t, r.System)
		assert.EqualValues(t, 19041, r.System.Build)
		require.NotNil(t, r.Bug)
		assert.Equal(t, report.Hex(0x7e), r.Bug.Code)
		assert.Equal(t, "header", r.Bug.Source)
		require.Len(t, r.Findings, 1)
		assert.Equal(t, finding.HeaderOnly.ID(), r.Findings[0].ID)

		_, err = convert.File(context.Background(), path, path+".out", convert.Options{})
		require.ErrorIs(t, err, physmem.ErrUnsupported)
	}
	// One that is cut off in its header has none.
	path := filepath.Join(t.TempDir(), "cut.dmp")
	require.NoError(t, os.WriteFile(path, dmp[:0x1000], 0o600))
	r, err := inspect.Info(context.Background(), source.File(path), inspect.InfoOptions{})
	require.Error(t, err)
	assert.Nil(t, r.Dump)
}
