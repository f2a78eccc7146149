package convert_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/internal/qemutest"
	"windmp/vtop"
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
			n := uint64(c.CPUs) //nolint:gosec // small
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
				assert.Equal(t, want, context64A(t, s, number), "vCPU %d", i)
			}
		})
	}
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
