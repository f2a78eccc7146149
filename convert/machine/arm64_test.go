package machine

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/vtop"
)

// TestTranslationARM64: TCR_EL1 says by which page tables a vCPU ran; those that are not
// read are named.
func TestTranslationARM64(t *testing.T) {
	t.Parallel()
	const lower, upper uint64 = 0x40<<48 | 0x946aa000, 0x40<<48 | 0x955bb000
	state := func(tcr uint64) State {
		c := &physmem.ARM64{PC: 0xfffff803f3208000, PSTATE: 0x604003c4}
		c.System = &physmem.ARM64System{SCTLR: sctlrM, TTBR0: lower, TTBR1: upper, TCR: tcr}
		return stateARM64(&physmem.CPU{Registers: c})
	}
	s := state(0x95b5513511)
	assert.True(t, s.Paged)
	assert.Same(t, vtop.ARM64, s.Mode)
	assert.Equal(t, lower, s.Root)
	assert.Equal(t, vtop.PA(0x946aa000), s.Space(nil).DTB)
	s = state(0x95b5503510)
	require.True(t, s.Paged)
	assert.Same(t, vtop.ARM64Wide, s.Mode)
	assert.Equal(t, [2]uint64{lower, upper}, [2]uint64{s.Root, s.UpperRoot})
	assert.Equal(t, [2]uint64{lower, upper}, [2]uint64{s.Specials.Root(), s.Specials.UpperRoot()})
	space := s.Space(nil)
	assert.Equal(t, [2]vtop.PA{0x946aa000, 0x955bb000}, [2]vtop.PA{space.Lower, space.DTB})
	for tcr, want := range map[uint64]string{
		0x95b5503510 | 1<<59:      "of 4 KiB pages and addresses of 52 bits",
		0x95b5593519:              "of 4 KiB pages and halves of 39 and 39 bits",
		0x95b5503511:              "of 4 KiB pages and halves of 47 and 48 bits",
		0x9575519511:              "of 16 KiB pages and halves of 47 and 47 bits",
		0x95f5517511:              "of 64 KiB pages and halves of 47 and 47 bits",
		0x95b5513511 | 1<<7:       "of 4 KiB pages and one half only",
		0x95b5513511 &^ (3 << 30): "of an unknown granule and halves of 47 and 47 bits",
	} {
		s := state(tcr)
		assert.False(t, s.Paged)
		assert.Contains(t, s.Elsewhere, "used page tables that are not read here, "+want)
		assert.NotEmpty(t, s.Foreign)
	}
}
