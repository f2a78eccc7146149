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

// TestQEMUBusy: a stream in which pages of a guest that ran on were sent again and again,
// whole and as what changed of them, holds what the ELF dump does that QEMU made where the
// machine was stopped in the end.
func TestQEMUBusy(t *testing.T) {
	qemutest.Require(t)
	for name, o := range map[string]qemutest.MigrateOptions{
		"whole pages": {Running: true},
		"XBZRLE":      {Running: true, Capabilities: []string{"xbzrle"}, Changed: 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Parameters = map[string]any{"max-bandwidth": 8 << 20, "downtime-limit": 1}
			if o.Changed == 0 {
				o.Parameters["downtime-limit"] = 100
			}
			vm := qemutest.Start(t, qemutest.Config{Busy: true, Memory: "4M"})
			dir := t.TempDir()
			stream, elf := filepath.Join(dir, "stream"), filepath.Join(dir, "vmcore")
			require.NoError(t, vm.Migrate(stream, o))
			require.NoError(t, vm.DumpELF(elf, qemutest.ELFOptions{}))
			want, err := open.File(t.Context(), elf, open.Options{})
			require.NoError(t, err)
			defer want.Close()
			got, err := open.File(t.Context(), stream, open.Options{})
			require.NoError(t, err)
			defer got.Close()
			assert.Empty(t, got.Oddities())
			const from, to = 0x10000, 0x90000
			a, b := make([]byte, to-from), make([]byte, to-from)
			_, err = want.ReadAt(a, from)
			require.NoError(t, err)
			_, err = got.ReadAt(b, from)
			require.NoError(t, err)
			require.True(t, bytes.Equal(a, b))
			for page := 0; page < len(a); page += 0x1000 {
				assert.NotZero(t, a[page+0x10]|a[page+0x11], "the guest wrote to page 0x%x", from+page)
			}
			w, g := *physmem.X86Of(want.CPUs()[0]), *physmem.X86Of(got.CPUs()[0])
			g.Debug, g.MSR, g.FX = nil, nil, nil
			assert.Equal(t, w, g)
		})
	}
}
