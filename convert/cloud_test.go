package convert_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/plan"
	"windmp/internal/coretest"
)

// TestCloudHypervisorSource: the dump of a guest in a core of Cloud Hypervisor is, in every
// byte, that of the same guest in QEMU's core without the guest's note, but for the comment
// that names the source.
func TestCloudHypervisorSource(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"guest-bsod.vmcore", "live-2cpu.vmcore.gz"} {
		core := withoutHostNote(t, gunzip(t, s))
		opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}}
		want, _, err := convertBytes(t, core, opt)
		require.NoError(t, err)
		m := imageOf(t, core)
		got, r, err := convertBytes(t, coretest.CloudHypervisor(t, m, m.CPUs(), len(m.CPUs())), opt)
		require.NoError(t, err)
		assert.Contains(t, r.Input.Description, "ELF64 vmcore of Cloud Hypervisor")
		equalButFor(t, want, got, []allowed{{"Comment, which names the source", commentAt(false), 128}})
	}
}
