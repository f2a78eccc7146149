package vmcore_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/internal/fixture"
	"windmp/physmem/physmemtest"
)

func TestSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/*.vmcore*")
	require.NoError(t, err)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			m, err := physmemtest.Open(fixture.Sample(t, filepath.Base(path)))
			require.NoError(t, err)
			assert.Empty(t, m.Oddities())
			assert.NotEmpty(t, m.CPUs())
			for i, c := range m.CPUs() {
				assert.Equal(t, uint32(i), c.ID)
				x := physmem.X86Of(c)
				assert.True(t, x.HasSystem)
				assert.True(t, x.HasKernelGSBase)
				assert.NotZero(t, x.CR3)
			}
			ram := fixture.HeaderRuns(t, m)
			m, _ = m.Recover(ram)
			if !strings.Contains(path, "-cut") { // that one lacks memory
				assert.Empty(t, missing(m, ram))
			}
			require.NoError(t, physmemtest.Test(m, m.Ranges(), nil))
		})
	}
}

// TestSampleRecovered compares a dump with paging on, recovered, with one of
// the same stopped guest with paging off.
func TestSampleRecovered(t *testing.T) {
	t.Parallel()
	for paged, plain := range map[string]string{
		"live-2cpu-paging.vmcore.gz":        "live-2cpu.vmcore.gz",
		"shadow-user-2cpu-paging.vmcore.gz": "shadow-user-2cpu.vmcore.gz",
	} {
		t.Run(paged, func(t *testing.T) {
			t.Parallel()
			m, err := physmemtest.Open(fixture.Sample(t, paged))
			require.NoError(t, err)
			truth, err := physmemtest.Open(fixture.Sample(t, plain))
			require.NoError(t, err)
			assert.Contains(t, m.Describe(), "(paging on)")
			assert.NotContains(t, truth.Describe(), "(paging on)")
			ram := fixture.HeaderRuns(t, m)
			require.NotEmpty(t, place(&m, ram))
			for _, x := range ram {
				got, want := make([]byte, x.Size), make([]byte, x.Size)
				_, err := m.ReadAt(got, int64(x.Start))
				require.NoError(t, err)
				_, err = truth.ReadAt(want, int64(x.Start))
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got), "%v", x)
			}
			assert.Equal(t, physmem.X86Of(truth.CPUs()[0]).CR3, physmem.X86Of(m.CPUs()[0]).CR3)
		})
	}
}
