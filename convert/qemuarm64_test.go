package convert_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/internal/qemutest"
	"windmp/vtop"
	"windmp/winhdr/wincontext"
)

// TestQEMUARM64: a guest of 64-bit Arm that real QEMU dumped. QEMU writes no Windows dump
// of one, so the witness is the guest: its registers, and what the processor made of
// its addresses.
func TestQEMUARM64(t *testing.T) {
	for _, tc := range []struct {
		words  string
		config qemutest.Config
	}{
		{"live", qemutest.Config{CPUs: 1}},
		{"live", qemutest.Config{CPUs: 2, CPUModel: "cortex-a72"}},
		{"live encoded swapcpu", qemutest.Config{CPUs: 4, Memory: "64M"}},
		{"bsod encoded", qemutest.Config{CPUs: 3}},
		{"live nomz", qemutest.Config{CPUs: 2}},
		{"live user", qemutest.Config{CPUs: 2}},
		{"bsod wide", qemutest.Config{CPUs: 2}},
	} {
		t.Run(fmt.Sprint(tc.words, " ", tc.config.CPUs), func(t *testing.T) {
			t.Parallel()
			c := tc.config
			c.GuestARM64, c.Variant = true, strings.Fields(tc.words)
			vm := qemutest.Start(t, c)
			path := filepath.Join(t.TempDir(), "core")
			require.NoError(t, vm.DumpELF(path, qemutest.ELFOptions{}))
			core, err := os.ReadFile(path)
			require.NoError(t, err)
			dmp, r, err := convertBytes(t, core, convert.Options{})
			require.NoError(t, err)
			s := space64A(t, dmp)
			sameTranslations(t, vm.Console(), s)
			n := uint64(c.CPUs)
			for i := range n {
				number, want := i, live64A(i, i)
				if strings.Contains(tc.words, "swapcpu") {
					number = (i + 1) % n
					want = live64A(i, number)
				}
				switch {
				case strings.Contains(tc.words, "bsod"):
					want = saved64A(i)
				case strings.Contains(tc.words, "user") && i == 1:
					assert.Contains(t, ids(r), finding.VCPUUnmatched.ID(), "nothing says what it runs")
					continue
				}
				equalWaiting64A(t, want, context64A(t, s, number), i)
			}
		})
	}
}

// TestMigrationARM64: QEMU's migration stream of such a guest has what its core has, and
// the system registers of its vCPUs, by which one in user mode proves what it runs.
func TestMigrationARM64(t *testing.T) {
	for _, words := range []string{"live encoded", "live user", "live user wide"} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			vm := qemutest.Start(t, qemutest.Config{GuestARM64: true, CPUs: 2, Variant: strings.Fields(words)})
			path := filepath.Join(t.TempDir(), "stream")
			require.NoError(t, vm.Migrate(path, qemutest.MigrateOptions{}))
			stream, err := os.ReadFile(path)
			require.NoError(t, err)
			dmp, r, err := convertBytes(t, stream, convert.Options{})
			require.NoError(t, err)
			if strings.Contains(words, "wide") {
				assert.Equal(t, "WARN", r.Verdict)
				assert.Contains(t, ids(r), finding.SplitTables.ID())
			} else {
				assert.Equal(t, "OK", r.Verdict, "%v", ids(r))
			}
			if strings.Contains(words, "user") {
				checkProcess64A(t, stream)
			}
			s := space64A(t, dmp)
			sameTranslations(t, vm.Console(), s)
			for i := range uint64(2) {
				want := live64A(i, i)
				if strings.Contains(words, "user") && i == 1 {
					want.Cpsr, want.Pc, want.Sp, want.X[18] = 0x20000000, 0x7ff612340120, 0xd4f2f0ee40, 0xd4f2d0b000
				}
				equalWaiting64A(t, want, context64A(t, s, i), i)
				special := make([]byte, 0x318) // KPRCB.ProcessorState.SpecialRegisters
				_, err := s.ReadVirtual(special, vtop.VA(pcr64A(i)+prcb64A+0x40))
				require.NoError(t, err)
				root := u64(dmp, 0x10)
				lower, upper, tcr := root, root+0x800, uint64(0x95b5513511)
				if strings.Contains(words, "wide") { // a table for each half
					lower, upper, tcr = u64(special, 0xc8)&^(0x40<<48), root, 0x95b5503510
					require.NotEqual(t, root, lower)
				}
				for off, v := range map[int]uint64{
					0x18: i, 0x20: pcr64A(i), 0xa8: 0x100030d0591d, 0xb8: 0x300000, 0xc0: tcr,
					0xc8: lower | 0x40<<48, 0xd0: upper | 0x40<<48, 0x308: 0x44bb00ff44bb00ff, 0x310: base64A + 0x202800,
				} {
					assert.Equal(t, v, u64(special, off), "processor %d, special register at %#x", i, off)
				}
			}
		})
	}
}

// checkProcess64A: the memory of a process is read by its own half of the addresses, and
// a kernel dump that keeps it holds it.
func checkProcess64A(t *testing.T, stream []byte) {
	t.Helper()
	const code, process = 0x7ff612340120, 4
	read := func(b []byte) inspect.AddressWalk {
		r, err := inspect.Walk(t.Context(), source.Reader("", bytes.NewReader(b), int64(len(b))), []uint64{code}, inspect.WalkOptions{HasPID: true, PID: process, Read: 4})
		require.NoError(t, err)
		require.Len(t, r.Walks, 1)
		return r.Walks[0]
	}
	want := read(stream)
	assert.Equal(t, "00000014", want.Bytes, "b ., which the vCPU ran: %s", want.Error)
	kept, _, err := convertBytes(t, stream, convert.Options{Plan: plan.Options{Type: plan.OutputKernel, KeepProcesses: []uint64{process}}})
	require.NoError(t, err)
	assert.Equal(t, want.Bytes, read(kept).Bytes)
	left, _, err := convertBytes(t, stream, convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
	require.NoError(t, err)
	assert.Empty(t, read(left).Bytes)
}

// equalWaiting64A compares the registers of a vCPU. One that waits may have been on its
// way back to the instruction that waits, which an emulator is free to end at any time.
func equalWaiting64A(t *testing.T, want, got *wincontext.ContextARM64, cpu uint64) {
	t.Helper()
	if waits := live64A(cpu, 0).Pc; want.Pc == waits && got.Pc == waits-4 {
		got.Pc = waits
	}
	assert.Equal(t, want, got, "vCPU %d", cpu)
}

// sameTranslations: page walks lead where the guest's processor was led.
func sameTranslations(t *testing.T, console string, s *vtop.Space) {
	t.Helper()
	n := 0
	for line := range strings.Lines(console) {
		var va, pa uint64
		if k, _ := fmt.Sscanf(line, "va=%x pa=%x", &va, &pa); k != 2 {
			continue
		}
		n++
		m, err := s.Translate(vtop.VA(va))
		if pa == ^uint64(0) {
			require.ErrorIs(t, err, vtop.ErrNotMapped, "%#x", va)
			continue
		}
		require.NoError(t, err, "%#x", va)
		assert.Equal(t, vtop.PA(pa), m.PA, "%#x", va)
	}
	assert.GreaterOrEqual(t, n, 16)
}
