package winhdr

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/testheap"
	"windmp/physmem"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// What QEMU itself wrote: the header's own words about the file are true.
func TestQEMUDumps(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../testdata/*.win-dmp.gz")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".win-dmp.gz"), func(t *testing.T) {
			t.Parallel()
			dump, err := testheap.File(t, name)
			require.NoError(t, err)
			h, err := Decode(dump)
			require.NoError(t, err)
			size := h.Size()
			assert.Equal(t, dump[:size], h.Encode())

			for _, p := range h.Check() {
				assert.Equal(t, "DirectoryTableBase", p.Field, "only a PCID in it may be odd: %v", p)
				assert.True(t, p.Repairable)
			}
			runs, problems := h.Runs()
			assert.Empty(t, problems)
			required := h.RequiredDumpSpace
			if h.Format() == X86 { // of which QEMU writes the lower half
				assert.EqualValues(t, problem.Fill, required>>32)
				required &= 0xffffffff
			}
			assert.EqualValues(t, len(dump), required)
			assert.EqualValues(t, len(dump), uint64(size)+runs.Pages()*physmem.PageSize)
			require.NoError(t, h.SetRuns(runs))
			assert.Equal(t, dump[:size], h.Encode(), "setting what is there changes nothing")

			checkSavedContexts(t, dump[size:], h.Format(), int(h.NumberProcessors))
		})
	}
}

// checkSavedContexts finds the contexts that QEMU wrote, by their flags, and
// expects at least one of them to be plausible for each processor. Where the
// kernel's processors do not follow QEMU's order there may be more.
func checkSavedContexts(t *testing.T, memory []byte, f *Format, processors int) {
	t.Helper()
	offset, flags := 0x30, uint32(wincontext.ContextQEMU) // of ContextFlags
	if f == X86 {
		offset, flags = 0, uint32(wincontext.ContextQEMU32)
	}
	size := f.Registers.Size()
	plausible := 0
	for at := 0; at+size <= len(memory); at += 16 {
		if binary.LittleEndian.Uint32(memory[at+offset:]) != flags {
			continue
		}
		c, err := f.DecodeContext(memory[at : at+size])
		require.NoError(t, err)
		if c.Plausible() == nil {
			plausible++
		}
	}
	assert.GreaterOrEqual(t, plausible, processors)
}
