package stack_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/qemutest"
	"windmp/kdbg/unwind"
)

// crashes are guests whose images crash in other ways than those of the samples.
var crashes = []qemutest.Config{
	{Variant: []string{"crash=0x7e"}},
	{Variant: []string{"crash=0x3b"}},
	{Variant: []string{"crash=0x50"}},
	{Variant: []string{"crash=0xe2", "la57", "slide=5"}, CPUModel: "qemu64,+la57"},
	{Variant: []string{"crash=0x7e", "at=1"}},
	{Variant: []string{"crash=0x7e", "at=4"}},
	{Variant: []string{"crash=0x7e", "at=5"}},
	{Variant: []string{"crash=0x7e", "at=6"}},
	{Variant: []string{"crash=0x7e", "at=7"}},
	{Variant: []string{"crash=0x7e", "other"}},
	{Guest32: true, Variant: []string{"crash=0xd1"}},
	{Guest32: true, Variant: []string{"crash=0x50"}},
	{Guest32: true, Variant: []string{"crash=0x7e", "at=1"}},
	{Guest32: true, Variant: []string{"crash=0x7e", "at=2"}},
	{Guest32: true, Variant: []string{"crash=0xe2", "nopae", "slide=5"}},
}

// TestWitnessQEMU walks the stacks of guests that have just crashed in real QEMU.
func TestWitnessQEMU(t *testing.T) {
	t.Parallel()
	qemutest.Require(t)
	for _, config := range crashes {
		config.Images = true
		name := strings.Join(config.Variant, " ")
		if config.Guest32 {
			name = "x86 " + name
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := crashNow(t, config)
			trace := c.walk(t)
			assert.Equal(t, c.list[1:], places(trace))
			c.assertCrash(t)
			c.assertSmall(t)
		})
	}
}

// TestWitnessOtherStack32: on 32-bit x86 a frame pointer that leads to a stack further
// down is not followed, since chains of frame pointers that do not rise end nowhere. All
// frames up to there are the guest's, and what comes behind is said to be a scan's.
func TestWitnessOtherStack32(t *testing.T) {
	t.Parallel()
	qemutest.Require(t)
	c := crashNow(t, qemutest.Config{Guest32: true, Images: true, Variant: []string{"crash=0xd1", "other"}})
	trace := c.walk(t)
	exact := slices.IndexFunc(trace.Steps, func(s unwind.Step) bool { return s.How == unwind.Scan })
	require.Equal(t, len(c.list)-3, exact)
	assert.Equal(t, c.list[1:][:exact], places(trace)[:exact])
	for _, s := range trace.Steps[exact:] {
		assert.Equal(t, unwind.Scan, s.How)
	}
}

// crashNow boots a guest and finds it in its vmcore.
func crashNow(t *testing.T, config qemutest.Config) *crashed {
	t.Helper()
	vm := qemutest.Start(t, config)
	path := filepath.Join(t.TempDir(), "core")
	require.NoError(t, vm.DumpELF(path, qemutest.ELFOptions{}))
	core, err := os.ReadFile(path)
	require.NoError(t, err)
	return openCrashed(t, core)
}
