package convert_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/plan"
	"windmp/internal/coretest"
	"windmp/physmem"
)

// TestStreamSource: the dump of a guest in a migration stream is, in every byte, that of
// the same guest in VirtualBox' core, which carries the same registers, but for the comment
// that names the source.
func TestStreamSource(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"guest-bsod.vmcore", "live-2cpu.vmcore.gz", "swapcpu-3cpu.vmcore.gz"} {
		m := imageOf(t, withoutHostNote(t, gunzip(t, s)))
		cpus := coretest.WithAll(m.CPUs())
		for i := range cpus {
			fx := physmem.X86Of(cpus[i]).FX
			for k := range 8 {
				clear(fx[32+16*k+10 : 32+16*(k+1)]) // reserved, of each x87 register
			}
		}
		opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}}
		want, _, err := convertBytes(t, coretest.VirtualBox(t, m, cpus, 0x10006), opt)
		require.NoError(t, err)
		got, r, err := convertBytes(t, coretest.Migration(t, m, cpus, "pc-i440fx-7.2"), opt)
		require.NoError(t, err)
		assert.Equal(t, "QEMU migration stream, machine pc-i440fx-7.2", r.Input.Description)
		equalButFor(t, want, got, []allowed{{"Comment, which names the source", commentAt(false), 128}})
	}
}
