package migration_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
	"windmp/physmem"
	"windmp/physmem/physmemtest"
)

// TestSamples compares streams of real QEMUs with the ELF of the same stopped guest.
func TestSamples(t *testing.T) {
	coretest.Samples(t)
	for _, name := range []string{"qemu-host-pc2", "qemu-host-q35hi", "qemu-host-numa", "qemu-host-compress", "qemu-host-xg", "qemu-sid-pc2", "qemu-trixie-mapped"} {
		t.Run(name, func(t *testing.T) {
			got, err := physmemtest.Open(coretest.Sample(t, name+".mig.gz"))
			require.NoError(t, err)
			want, err := physmemtest.Open(coretest.Sample(t, name+".elf.gz"))
			require.NoError(t, err)
			assert.Equal(t, physmem.FormatMigration, got.Format())
			assert.Empty(t, got.Oddities())
			for _, r := range got.Ranges() {
				assert.Empty(t, want.Missing(r))
				a, b := make([]byte, r.Size), make([]byte, r.Size)
				_, err := got.ReadAt(a, int64(r.Start))
				require.NoError(t, err)
				_, err = want.ReadAt(b, int64(r.Start))
				require.NoError(t, err)
				require.True(t, bytes.Equal(a, b), r)
			}
			if note := want.GuestNote(); note != nil {
				require.NotNil(t, got.GuestNote())
				assert.Equal(t, note.Desc, got.GuestNote().Desc)
			}
			require.Len(t, got.CPUs(), len(want.CPUs()))
			for i, c := range want.CPUs() {
				x := *physmem.X86Of(got.CPUs()[i])
				x.Debug, x.MSR, x.FX = nil, nil, nil
				assert.Equal(t, *physmem.X86Of(c), x)
			}
		})
	}
}
