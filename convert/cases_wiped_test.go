package convert_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/internal/guestsim"
	"windmp/vtop"
)

// spoiltKernels are what protectors, malware and builds of other people's do to the
// header of the kernel's image; warned is whether that costs a warning.
var spoiltKernels = []struct {
	name   string
	warned bool
	page   func(page []byte)
}{
	{"no MZ", true, func(page []byte) { clear(page[:2]) }},
	{"no headers behind the MZ", true, func(page []byte) { clear(page[2:]) }},
	{"no headers", true, func(page []byte) { clear(page) }},
	{"random headers", true, func(page []byte) {
		for i := range page {
			page[i] = byte(i*i*31 + 7)
		}
	}},
	{"another name", false, func(page []byte) { rename(page, "ntoskrnl.exe", "ntkrnlmp.exe") }},
	{"another name, other symbols, other exports", false, func(page []byte) {
		rename(page, "ntoskrnl.exe", "winkern.elf")
		rename(page, "ntkrnlmp.pdb", "own.pdb")
		rename(page, "ntkrpamp.pdb", "own.pdb")
		rename(page, "PsInitialSystemProcess", "PsSomethingElse")
	}},
}

func rename(page []byte, from, to string) {
	if at := bytes.Index(page, []byte(from)); at >= 0 {
		clear(page[at : at+len(from)])
		copy(page[at:], to)
	}
}

// TestSpoiltKernel: without the headers of the kernel's image, or under another name,
// the dump is the one of the guest with them, but for them.
func TestSpoiltKernel(t *testing.T) {
	t.Parallel()
	for _, opt := range []guestsim.Options{
		{CPUs: 2},
		{CPUs: 2, Encoded: true, Build: 26100},
		{Build: 9600, BugCheck: crash, Seed: 5},
		{CPUs: 2, Encoded: true, Shadow: true, UserMode: []int{0, 1}},
	} {
		for way, file := range map[string]guestsim.FileOptions{
			"note": {}, "vCPUs": {NoGuestNote: true}, "memory": {NoGuestNote: true, NoCPUNotes: true},
		} {
			opt.File = file
			t.Run("by "+way, func(t *testing.T) {
				t.Parallel()
				g := guestsim.New(opt)
				want, with, err := convertSim(t, g, convert.Options{})
				require.NoError(t, err)
				sound := g.Read(guestsim.KernBase, 0x1000)
				for _, s := range spoiltKernels {
					page := bytes.Clone(sound)
					s.page(page)
					g.Write(guestsim.KernBase, page)
					got, r, err := convertSim(t, g, convert.Options{})
					require.NoError(t, err, s.name)
					equalButFor(t, want, got, []allowed{{"headers", fileOffset(t, want, g.PA(guestsim.KernBase)), 0x1000}})
					assert.Equal(t, s.warned, findingOf(r, finding.KernelImage.ID()) != nil, s.name)
					if !s.warned {
						assert.Equal(t, with.Verdict, r.Verdict, s.name)
					}
				}
			})
		}
	}
}

// TestSpoiltKernelGiven: the base of such a kernel may be given.
func TestSpoiltKernelGiven(t *testing.T) {
	t.Parallel()
	for _, s := range spoiltKernels {
		g := guestsim.New(guestsim.Options{Encoded: true, File: guestsim.FileOptions{NoGuestNote: true}})
		page := g.Read(guestsim.KernBase, 0x1000)
		s.page(page)
		g.Write(guestsim.KernBase, page)
		dmp, _, err := convertSim(t, g, convert.Options{Guest: guest.Options{KernelBase: guestsim.KernBase}})
		require.NoError(t, err, s.name)
		assert.Equal(t, g.KDBG, u64(dmp, 0x80), s.name)
		for _, wrong := range []uint64{guestsim.KernBase + 0x1000, guestsim.KernBase - 0x200000, 0x7ff000000000} {
			_, _, err = convertSim(t, g, convert.Options{Guest: guest.Options{KernelBase: wrong}})
			var refused *finding.RefusedError
			require.ErrorAs(t, err, &refused, "%s %#x", s.name, wrong)
			assert.Equal(t, finding.GivenWrong.ID(), refused.Finding.ID)
		}
	}
}

// TestSpoiltKernel32 is the same for 32 bits, with PAE and without.
func TestSpoiltKernel32(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x86-bsod-2cpu", "x86-nopae-live-2cpu"} {
		for _, s := range spoiltKernels {
			for _, vcpus := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %s, vCPUs %t", name, s.name, vcpus), func(t *testing.T) {
					b := newBare32(t, name)
					dtb, pae := uint32(b.cpu(0).CR3), b.cpu(0).PAE()
					if !vcpus {
						b.cpus = nil
					}
					var both []byte // the guest has its export directory in the second page
					for _, va := range []vtop.VA{nt32, nt32 + 0x1000} {
						page := make([]byte, 0x1000)
						_, err := b.space.ReadVirtual(page, va)
						require.NoError(t, err)
						both = append(both, page...)
					}
					s.page(both[:0x1800])
					b.write(nt32, both[:0x1000])
					b.write(nt32+0x1000, both[0x1000:])
					dmp, r, err := convertBytes(t, b.file(), convert.Options{})
					require.NoError(t, err, "%s %s", name, s.name)
					assertBuilt32(t, dmp, dtb, kdbg32, pae)
					assert.Equal(t, s.warned, findingOf(r, finding.KernelImage.ID()) != nil, s.name)
				})
			}
		}
	}
}

// TestSpoiltDecoy: what is no kernel, in a page without an MZ, is not taken for one.
func TestSpoiltDecoy(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2, Encoded: true, File: guestsim.FileOptions{NoGuestNote: true, NoCPUNotes: true}})
	want, _, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	// A driver's pages with a block that names them as the kernel, registered by
	// itself: the lists that it names are not the loader's.
	const fake = guestsim.KernBase + 0x8000000
	g.Map(fake, 0x3000)
	block := guestsim.KDBGBlock(19041, fake)
	g.Write(fake+0x1040, block)
	got, _, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, u64(want, 0x80), u64(got, 0x80))
	assert.Equal(t, vtop.VA(g.KDBG), vtop.VA(u64(got, 0x80)))
}
