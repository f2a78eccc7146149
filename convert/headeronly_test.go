package convert_test

import (
	"bytes"
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
	dmp := bytes.Clone(gunzip(t, samplePath("guest-bsod.win-dmp.gz"))[:0x3000])
	for typ, what := range map[uint32]string{3: "header"} {
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

// TestHeaderWithoutMemory: a dump that is cut behind its header still says what the
// header says, and that it is cut comes first.
func TestHeaderWithoutMemory(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"guest-bsod.win-dmp.gz": 0x2000, "x86-bsod-2cpu.win-dmp.gz": 0x1000} {
		whole := gunzip(t, samplePath(name))
		path := filepath.Join(t.TempDir(), "cut.dmp")
		require.NoError(t, os.WriteFile(path, whole[:size], 0o600))
		r, err := inspect.Info(context.Background(), source.File(path), inspect.InfoOptions{})
		var format *physmem.FormatError
		require.ErrorAs(t, err, &format)
		assert.Regexp(t, `^the file is cut: [\d.]+ of [\d.]+ MiB are missing; `, format.Error())
		require.NotNil(t, r.System)
		require.NotNil(t, r.Bug)
		assert.True(t, r.Bug.Crashed)
		assert.NotEmpty(t, r.System.SystemTime)
		assert.Len(t, r.Memory.ListedRanges, 2)
		assert.Equal(t, uint64(len(whole)-size), r.Memory.Listed)
		assert.Equal(t, r.Memory.Listed, r.Memory.Missing)
		for _, level := range []inspect.CheckLevel{inspect.CheckHeader, inspect.CheckQuick} {
			c := checkOf(t, path, inspect.CheckOptions{Level: level})
			assert.Equal(t, "FAIL", c.Verdict)
			assert.Regexp(t, `^the file is cut: `, c.Reason)
			require.NotNil(t, c.System)
			assert.Equal(t, r.System, c.System)
		}
	}
}
