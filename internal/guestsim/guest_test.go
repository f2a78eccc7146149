package guestsim_test

import (
	"bytes"
	"debug/elf"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
)

// variants are guests that tests elsewhere build on; each must build, stay small
// and wrap into an ELF that the standard library reads.
var variants = map[string]guestsim.Options{
	"live":      {},
	"four cpus": {CPUs: 4, BugCheck: [5]uint64{0xd1, 1, 2, 3, 4}},
	"16 cpus":   {CPUs: 16},
	"9600":      {Build: 9600, CPUs: 2, BugCheck: [5]uint64{0xe2}},
	"26100":     {Build: 26100, CPUs: 2, Encoded: true},
	"odd":       {CPUs: 2, Odd: true, Encoded: true},
	"swbits":    {SoftwareBits: true, MapAll: true, File: guestsim.FileOptions{Paging: true}},
	"paging":    {CPUs: 2, MapAll: true, VGA: true, File: guestsim.FileOptions{Paging: true}},
	"la57":      {LA57: true},
	"shadow":    {Shadow: true, PCID: true, File: guestsim.FileOptions{Paging: true}},
	"filtered":  {File: guestsim.FileOptions{Begin: 0x1123, Length: 0x101777}},
	"notes":     {File: guestsim.FileOptions{NotesLast: true, NoKernelGSBase: true, EhdrSize: 64, GuestNoteSize: 0x2004}},
	"registers": {UserMode: []int{1}, VCPUOrder: []int{1, 0}, CPUs: 2},
	"short":     {KDBGSize: 0x208},
	"long":      {KDBGSize: 0x3a8, KDBGOffset: 0xff8},
}

func TestVariants(t *testing.T) {
	t.Parallel()
	for name, opt := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(opt)
			file := g.ELF()
			limit := 330<<10 + max(0, opt.CPUs-2)*33<<10
			if opt.Shadow {
				limit += (opt.CPUs + 3) << 16
			}
			assert.Less(t, len(file), limit)
			assert.Equal(t, file, guestsim.New(opt).ELF(), "the same options give the same guest")

			f, err := elf.NewFile(bytes.NewReader(file))
			require.NoError(t, err)
			assert.Equal(t, elf.PT_NOTE, f.Progs[0].Type)
			require.Greater(t, len(f.Progs), 1)
			for _, p := range f.Progs[1:] {
				got := make([]byte, p.Filesz)
				_, err := p.ReadAt(got, 0)
				require.NoError(t, err)
				assert.Equal(t, g.ReadPhys(p.Paddr, len(got)), got, "PT_LOAD at %#x", p.Paddr)
			}
		})
	}
}

func TestWhatIsWhere(t *testing.T) {
	t.Parallel()
	for name, opt := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(opt)
			block := g.Plain
			if opt.Encoded {
				block = guestsim.Encode(g.Plain, g.Options.WaitNever, g.Options.WaitAlways, g.Flag)
			}
			assert.Equal(t, block, g.Read(g.KDBG, len(block)))
			assert.Equal(t, g.Plain, g.Read(g.KDBGCopy, len(g.Plain)))
			assert.Equal(t, "MZ", string(g.Read(guestsim.KernBase, 2)))
			assert.Equal(t, g.Options.BugCheck[0], g.Read64(g.KiBugcheckData))
			assert.Equal(t, g.Modules[0].Entry, g.Read64(g.PsLoadedModuleList))
			for i, p := range g.Processors {
				if g.KiProcessorBlock != 0 {
					assert.Equal(t, p.PRCB, g.Read64(g.KiProcessorBlock+8*uint64(i)))
				}
				assert.Equal(t, p.Context, g.Read64(p.ContextPtr))
				assert.Equal(t, p.PCR, g.Read64(p.PCR+0x18))
			}
			for _, r := range g.Runs() {
				assert.NotPanics(t, func() { g.ReadPhys(r.Start, int(r.Size)) })
			}
		})
	}
}

func TestHolesAndFailures(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{})
	end := g.RAM()[0].End()
	b := make([]byte, 16)
	n, err := g.Memory().ReadAt(b, int64(end)-8)
	assert.Equal(t, 8, n)
	require.ErrorIs(t, err, guestsim.ErrHole)

	boom := fmt.Errorf("boom")
	g.Fail(guestsim.Range{Start: 0x3004, Size: 4}, boom)
	n, err = g.Memory().ReadAt(b, 0x3000)
	assert.Equal(t, 4, n)
	require.ErrorIs(t, err, boom)

	assert.Panics(t, func() { g.Write64(0xdead0000, 1) })
}
