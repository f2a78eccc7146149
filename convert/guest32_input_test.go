package convert_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/qemutest"
	"windmp/physmem"
	"windmp/physmem/open"
)

// TestSources32 reads the three dumps that QEMU makes of a 32-bit guest: ELF and
// kdump-zlib are the same, and so are the pages of its Windows dump, but for
// those that QEMU writes contexts to.
func TestSources32(t *testing.T) {
	qemutest.Require(t)
	t.Parallel()
	vm := qemutest.Start(t, qemutest.Config{Guest32: true, CPUs: 2})
	dir := t.TempDir()
	core, kdump, win := filepath.Join(dir, "elf"), filepath.Join(dir, "kdump"), filepath.Join(dir, "win")
	require.NoError(t, vm.DumpELF(core, qemutest.ELFOptions{}))
	require.NoError(t, vm.DumpKdump(kdump))
	require.NoError(t, vm.DumpWin(win))
	m := sameMemory(t, core, kdump)
	assert.Equal(t, physmem.MachineX86, m.Machine())

	dmp, err := open.File(t.Context(), win, open.Options{})
	require.NoError(t, err)
	defer func() { _ = dmp.Close() }()
	assert.Equal(t, physmem.FormatDMP, dmp.Format())
	assert.Equal(t, physmem.MachineX86, dmp.Machine())
	assert.Len(t, dmp.DumpHeader(), 0x1000)
	assert.Empty(t, dmp.Oddities())
	differ := 0
	const page = 0x1000
	for _, r := range dmp.Ranges() {
		assert.Empty(t, m.Missing(r))
		for at := r.Start; at < r.End(); at += page {
			var a, b [page]byte
			_, err := dmp.ReadAt(a[:], int64(at))
			require.NoError(t, err)
			_, err = m.ReadAt(b[:], int64(at))
			require.NoError(t, err)
			if !bytes.Equal(a[:], b[:]) {
				differ++
			}
		}
	}
	assert.Positive(t, differ)
	assert.LessOrEqual(t, differ, 4, "a context or two pages of it for each CPU")
}
