package specials

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/winhdr/fields"
)

// TestLayout proves the offsets of x64: as in Volatility's profiles; WinDbg's engine
// reads it at the same places.
func TestLayout(t *testing.T) {
	t.Parallel()
	structure := fields.Of[specials64]()
	for name, want := range map[string]int{
		"Cr0": 0, "Cr2": 8, "Cr3": 0x10, "Cr4": 0x18,
		"KernelDr0": 0x20, "KernelDr1": 0x28, "KernelDr2": 0x30, "KernelDr3": 0x38, "KernelDr6": 0x40, "KernelDr7": 0x48,
		"Gdtr.Pad": 0x50, "Gdtr.Limit": 0x56, "Gdtr.Base": 0x58, "Idtr.Pad": 0x60, "Idtr.Limit": 0x66, "Idtr.Base": 0x68,
		"Tr": 0x70, "Ldtr": 0x72, "MxCsr": 0x74, "DebugControl": 0x78,
		"LastBranchToRip": 0x80, "LastBranchFromRip": 0x88, "LastExceptionToRip": 0x90, "LastExceptionFromRip": 0x98,
		"Cr8": 0xa0, "MsrGsBase": 0xa8, "MsrGsSwap": 0xb0, "MsrStar": 0xb8, "MsrLStar": 0xc0, "MsrCStar": 0xc8, "MsrSyscallMask": 0xd0,
	} {
		f, ok := structure.Field(name)
		if assert.True(t, ok, name) {
			assert.Equal(t, want, f.Offset, name)
		}
	}
	assert.Equal(t, 0xd8, structure.Size())
}

// TestEdits: what was decoded is what is written, at its place; groups that are
// not known are not written.
func TestEdits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		codec Codec
		all   []string
	}{
		"x64": {X64, []string{"CR0, CR2, CR3, CR4", "GDTR", "IDTR", "TR", "DR0 to DR3, DR6, DR7", "MXCSR", "GS bases, STAR, LSTAR, CSTAR, SFMASK"}},
		"x86": {X86, []string{"CR0, CR2, CR3, CR4", "GDTR", "IDTR", "TR", "DR0 to DR3, DR6, DR7"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := make([]byte, tt.codec.Size)
			for i := range raw {
				raw[i] = byte(i + 1)
			}
			s := tt.codec.Decode(raw)
			var names []string
			for _, e := range tt.codec.Edits(s) {
				names = append(names, e.What)
				assert.Equal(t, raw[e.Offset:][:len(e.Bytes)], e.Bytes, e.What)
			}
			assert.Equal(t, tt.all, names)
			r, ok := s.(*X86Values)
			require.True(t, ok)
			few := tt.codec.Edits(&X86Values{Cr3: r.Cr3})
			assert.Len(t, few, 4)
			assert.Empty(t, tt.codec.Edits(nil), "of another machine")
		})
	}
}

// TestARM64 proves the offsets by the Windows SDK's ksarm64.h (Ks... and, 0xa0 further on,
// Aa...): what lies there is decoded, and written back but for the padding of SPSR_EL1.
func TestARM64(t *testing.T) {
	t.Parallel()
	const arch = 0xa0 // KPROCESSOR_STATE.ArchState
	le := binary.LittleEndian
	raw := make([]byte, ARM64.Size)
	for i := range raw {
		raw[i] = byte(i*7 + 1)
	}
	r, ok := ARM64.Decode(raw).(*ARM64Values)
	require.True(t, ok)
	for name, c := range map[string]struct {
		at  int
		got uint64
	}{
		"KsElr_El1": {0, r.ELR}, "KsTpidr_El0": {0x10, r.TPIDREL0}, "KsTpidrro_El0": {0x18, r.TPIDRROEL0}, "KsTpidr_El1": {0x20, r.TPIDREL1},
		"AaSctlr_El1": {arch + 8, r.SCTLR}, "AaCpacr_El1": {arch + 0x18, r.CPACR}, "AaTcr_El1": {arch + 0x20, r.TCR},
		"AaTtbr0_El1": {arch + 0x28, r.TTBR0}, "AaTtbr1_El1": {arch + 0x30, r.TTBR1}, "AaEsr_El1": {arch + 0x38, r.ESR},
		"AaFar_El1": {arch + 0x40, r.FAR}, "AaMair_El1": {arch + 0x268, r.MAIR}, "AaVbar_El1": {arch + 0x270, r.VBAR},
	} {
		assert.Equal(t, le.Uint64(raw[c.at:]), c.got, name)
	}
	assert.Equal(t, uint64(le.Uint32(raw[8:])), r.SPSR, "KsSpsr_El1")

	clear(raw[12:16])
	r.SPSR |= 1 << 40 // which no structure has room for
	for _, e := range ARM64.Edits(r) {
		assert.Equal(t, raw[e.Offset:][:len(e.Bytes)], e.Bytes, e.What)
	}
	assert.Empty(t, ARM64.Edits(&X86Values{}), "of another machine")
}
