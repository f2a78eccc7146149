package stack_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/qemutest"
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
			vm := qemutest.Start(t, config)
			path := filepath.Join(t.TempDir(), "core")
			require.NoError(t, vm.DumpELF(path, qemutest.ELFOptions{}))
			core, err := os.ReadFile(path)
			require.NoError(t, err)
			c := openCrashed(t, core)
			trace := c.walk(t)
			for i, s := range trace.Steps {
				t.Logf("%2d %-14s %v %v", i, s.How, s.Caller.PC, s.Caller.SP)
			}
			t.Log(trace.Stop)
			assert.Equal(t, c.list[1:], places(trace))
		})
	}
}
