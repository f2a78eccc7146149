package locate

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/kdbg"
	"windmp/physmem"
)

// tableBytes is a table of memory as a kernel of the layout keeps it.
func tableBytes(l *kdbg.Layout, runs physmem.Runs) []byte {
	var b []byte
	number := func(v uint64) {
		b = append(b, binary.LittleEndian.AppendUint64(nil, v)[:l.PointerSize]...)
	}
	number(uint64(len(runs)))
	number(runs.Pages())
	for _, r := range runs {
		number(r.BasePage)
		number(r.PageCount)
	}
	return b
}

// TestTables finds a table among noise, without the kernel.
func TestTables(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	want := physmem.Runs{{BasePage: 1, PageCount: 0x9e}, {BasePage: 0x100, PageCount: 0x300}, {BasePage: 0x8000, PageCount: 0x80}}
	all := []physmem.Range{{Size: 5 << 20}}
	chance := make([]byte, all[0].Size)
	for i := 0; i < len(chance); i += 8 {
		binary.LittleEndian.PutUint64(chance[i:], rng.Uint64()>>rng.IntN(64))
	}
	for name, l := range map[string]*kdbg.Layout{"x64": kdbg.X64, "x86": kdbg.X86} {
		mem := bytes.Clone(chance)
		for _, at := range []int{0x3240, 4<<20 + 0xf80} { // one twice
			copy(mem[at:], tableBytes(l, want))
		}
		copy(mem[0x5ff0:], tableBytes(l, want))                                         // across pages
		copy(mem[0x7100:], tableBytes(l, physmem.Runs{{BasePage: 1, PageCount: 2000}})) // one run
		copy(mem[0x8100:], tableBytes(l, physmem.Runs{want[0], want[1], {BasePage: 0x200, PageCount: 0x80}}))
		got, err := Tables(t.Context(), bytes.NewReader(mem), all, 0x500, kdbg.X64, kdbg.X86)
		require.NoError(t, err)
		assert.Equal(t, []physmem.Runs{want}, got, name)
		got, err = Tables(t.Context(), bytes.NewReader(mem), all, 0x300, kdbg.X64, kdbg.X86)
		require.NoError(t, err)
		assert.Empty(t, got, "more than there is")
	}
	many := make([]byte, 1<<20)
	for i := range 64 {
		copy(many[i<<12:], tableBytes(kdbg.X64, physmem.Runs{want[0], {BasePage: 0x100 + uint64(i), PageCount: 0x300}}))
	}
	got, err := Tables(t.Context(), bytes.NewReader(many), all, 0x500, kdbg.X64)
	require.NoError(t, err)
	assert.Len(t, got, maxTables)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Tables(ctx, bytes.NewReader(many), all, 0x500, kdbg.X64)
	require.ErrorIs(t, err, context.Canceled)
}
