package convert_test

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/internal/qemutest"
	"windmp/physmem"
	"windmp/physmem/open"
)

// TestQEMUi386: what qemu-system-i386 saves has processors of another layout than what
// qemu-system-x86_64 does. It writes no Windows dump, so the witness is its ELF dump of
// the same stopped machine and, for what that lacks, what the guest set, each processor
// its own (testdata/guest32/cpu.c).
func TestQEMUi386(t *testing.T) {
	for _, c := range []qemutest.Config{
		{CPUs: 2, Variant: []string{"live"}},
		{CPUs: 3, Machine: "q35", CPUModel: "qemu32,+pae", Variant: []string{"bsod", "crashcpu=1"}},
		{CPUs: 1, Variant: []string{"nopae"}},
	} {
		t.Run(strings.Join(c.Variant, " "), func(t *testing.T) {
			t.Parallel()
			c.I386 = true
			vm := qemutest.Start(t, c)
			dir := t.TempDir()
			d := &dumps{elf: filepath.Join(dir, "vmcore"), stream: filepath.Join(dir, "stream")}
			require.NoError(t, vm.DumpELF(d.elf, qemutest.ELFOptions{}))
			require.NoError(t, vm.Migrate(d.stream, qemutest.MigrateOptions{}))
			sameAsELF(t, d)
			m, err := open.File(t.Context(), d.stream, open.Options{})
			require.NoError(t, err)
			defer m.Close()
			for i, c := range m.CPUs() {
				x, n := physmem.X86Of(c), 0xdb000000+uint64(i)<<16
				assert.Equal(t, &physmem.DebugRegs{Dr0: n, Dr1: n + 0x100, Dr2: n + 0x200, Dr3: n + 0x300, Dr6: 0xffff0ff0 + uint64(i), Dr7: 0x400 + uint64(i)<<20}, x.Debug)
				assert.EqualValues(t, 0x37f, binary.LittleEndian.Uint16(x.FX), "control word")
				assert.EqualValues(t, 0x1fa0|(i+1)%4<<13, binary.LittleEndian.Uint32(x.FX[24:]), "MXCSR")
			}
			r, err := convert.File(t.Context(), d.stream, filepath.Join(dir, "out.dmp"), convert.Options{})
			require.NoError(t, err)
			assert.Equal(t, "OK", r.Verdict)
			assert.Len(t, r.Processors, c.CPUs)
		})
	}
}
