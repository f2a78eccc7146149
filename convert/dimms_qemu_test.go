package convert_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/qemutest"
	"windmp/physmem/open"
)

// TestQEMUDIMMs: several DIMMs of different sizes, in a stream that does not say where
// they are, lie where QEMU's ELF dump of the same stopped machine has them. Each holds
// marks of its own, which a file brings.
func TestQEMUDIMMs(t *testing.T) {
	const mib = 1 << 20
	for name, ids := range map[string]string{"as Proxmox": "mem-dimm%d", "as libvirt": "memdimm%d"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := qemutest.Config{Memory: "32M,slots=4,maxmem=1G", Variant: []string{"live"}}
			for i, size := range []int64{4, 8, 4, 2} {
				id, path := fmt.Sprintf(ids, i), filepath.Join(dir, fmt.Sprint(i))
				marked(t, path, size*mib)
				c.Extra = append(c.Extra, "-object", fmt.Sprintf("memory-backend-file,id=%s,size=%dM,mem-path=%s", id, size, path), "-device", "pc-dimm,memdev="+id)
			}
			vm := qemutest.Start(t, c)
			core, stream := filepath.Join(dir, "core"), filepath.Join(dir, "stream")
			require.NoError(t, vm.DumpELF(core, qemutest.ELFOptions{}))
			require.NoError(t, vm.Migrate(stream, qemutest.MigrateOptions{}))
			want, err := open.File(t.Context(), core, open.Options{})
			require.NoError(t, err)
			defer want.Close()
			got, err := open.File(t.Context(), stream, open.Options{})
			require.NoError(t, err)
			defer got.Close()
			require.Len(t, got.Oddities(), 1)
			assert.Contains(t, got.Oddities()[0].Text, "one after the other: ")
			assert.Equal(t, "from 0x100000000 on", got.Oddities()[0].Detail)
			for pa := int64(4 << 30); pa < 4<<30+18*mib; pa += mib {
				a, b := make([]byte, mib), make([]byte, mib)
				_, err := want.ReadAt(a, pa)
				require.NoError(t, err)
				_, err = got.ReadAt(b, pa)
				require.NoError(t, err)
				require.Equal(t, a, b, "0x%x", pa)
				require.NotZero(t, a[0], "0x%x: the mark", pa)
			}
		})
	}
}

// marked makes a sparse file with its name at each MiB.
func marked(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Truncate(size))
	for at := int64(0); at < size; at += 1 << 20 {
		_, err = f.WriteAt(fmt.Appendf(nil, "%s at 0x%x", path, at), at)
		require.NoError(t, err)
	}
}
