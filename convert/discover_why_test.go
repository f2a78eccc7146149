package convert_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/internal/guestsim"
)

// wipe empties all of a guest's memory.
func wipe(g *guestsim.Guest) {
	for _, r := range g.RAM() {
		g.WritePhys(r.Start, make([]byte, r.Size))
	}
}

// banner is what a Linux kernel keeps (init/version.c).
const banner = "Linux version 6.1.0-13-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.55-1 (2023-09-29)\n\x00"

// runsIn lets every vCPU run an image in page tables of its own.
func runsIn(g *guestsim.Guest, base uint64, id guestsim.ImageIdentity) {
	root := g.NewRoot()
	root.Within(func() {
		g.Image(base, id)
		g.Map(base+0x3000, 0x1000)
		idt := base + 0x3000
		handler := base + 0x2100
		g.Write64(idt, handler&0xffff|0x10<<16|0x8e00<<32|handler>>16&0xffff<<48)
		g.Write64(idt+8, handler>>32)
		for i := range g.VCPUs {
			g.VCPUs[i].CR3, g.VCPUs[i].IDT.Base, g.VCPUs[i].Rip = root.DTB, idt, base+0x1234
			g.VCPUs[i].CS.Selector, g.VCPUs[i].GS.Base = 0x10, base+0x3800
		}
	})
}

// hide makes memory alone no way: no self-map, no KUSER_SHARED_DATA.
func hide(g *guestsim.Guest) { g.Unmap(guestsim.SharedUserData) }

// early is a guest whose kernel has not filled KUSER_SHARED_DATA, but for the time.
func early(g *guestsim.Guest) {
	g.Write(guestsim.SharedUserData, make([]byte, 0x1000))
	g.Write64(guestsim.SharedUserData+8, 0x1234)
}

func TestWhyNot(t *testing.T) {
	t.Parallel()
	secure := guestsim.ImageIdentity{Size: 0x10000, Export: "securekernel.exe", PDB: "securekernel.pdb"}
	tests := []struct {
		name string
		opt  guestsim.Options
		poke func(g *guestsim.Guest)
		want string
		says string
	}{
		{
			name: "a Linux guest", want: finding.OtherSystem.ID(), says: `Linux "6.1.0-13-amd64"`,
			poke: func(g *guestsim.Guest) {
				wipe(g)
				g.WritePhys(0x100120, []byte(banner))
			},
		},
		{
			name: "a Linux guest without notes", opt: guestsim.Options{File: noCPUs}, want: finding.OtherSystem.ID(), says: "PA 0x104123",
			poke: func(g *guestsim.Guest) {
				wipe(g)
				g.WritePhys(0x101000, []byte("Linux version %s (%s)\n\x00Linux version 2, the text (not a banner)\x00"))
				g.WritePhys(0x104123, []byte(banner))
			},
		},
		{
			name: "firmware, real mode", opt: guestsim.Options{CPUs: 2}, want: finding.NotBooted.ID(), says: "of 2 vCPUs 2 had no paging",
			poke: func(g *guestsim.Guest) {
				wipe(g)
				for i := range g.VCPUs {
					g.VCPUs[i].CR0, g.VCPUs[i].CR3, g.VCPUs[i].Rip = 0x60000010, 0, 0xfff0
				}
			},
		},
		{
			name: "firmware, flat page tables", want: finding.NotBooted.ID(), says: "of 1 vCPU 0 had no paging, 1 ran where addresses are physical ones",
			poke: func(g *guestsim.Guest) {
				wipe(g)
				root := g.NewRoot()
				root.Within(func() { g.MapTo(0, 0, 3) })
				g.VCPUs[0].CR3, g.VCPUs[0].Rip = root.DTB, 0x3e5f1234
			},
		},
		{
			name: "boot loader", want: finding.NotBooted.ID(), says: "still booting",
			poke: func(g *guestsim.Guest) {
				hide(g)
				runsIn(g, 0x10000000, guestsim.ImageIdentity{Size: 0x10000, Export: "winload.sys", PDB: "winload.pdb"})
			},
		},
		{
			name: "resuming from hibernation", want: finding.NotBooted.ID(), says: "hibernation",
			poke: func(g *guestsim.Guest) {
				hide(g)
				runsIn(g, 0x10000000, guestsim.ImageIdentity{Size: 0x10000, Export: "winresume.sys", PDB: "winresume.pdb"})
			},
		},
		{
			name: "early boot: no KDBG yet", want: finding.NotBooted.ID(), says: "has no KDBG",
			poke: func(g *guestsim.Guest) {
				g.Write(g.KDBG, make([]byte, len(g.Plain)))
				g.Write(g.KDBGCopy, make([]byte, len(g.Plain)))
			},
		},
		{
			name: "kernel not mapped", opt: guestsim.Options{NoSelfMap: true}, want: finding.KernelUnmapped.ID(), says: "no vCPU and no page table",
			poke: func(g *guestsim.Guest) {
				g.WritePhys(g.DTB, make([]byte, 0x1000))
			},
		},
		{
			name: "kernel not mapped, no notes", opt: guestsim.Options{NoSelfMap: true, Encoded: true, File: noCPUs}, want: finding.KernelUnmapped.ID(),
			poke: func(g *guestsim.Guest) { g.WritePhys(g.DTB, make([]byte, 0x1000)) },
		},
		{
			name: "page tables filtered away", want: finding.RootAbsent.ID(), says: "not in the file",
			poke: func(g *guestsim.Guest) {
				// A filter that keeps a megabyte without the root.
				g.Options.File.Begin, g.Options.File.Length = 0x100000, 0x10000
				g.VCPUs[0].CR3 = 0x100004000
			},
		},
		{
			name: "secure kernel", want: finding.SecureKernel.ID(), says: `"securekernel.exe"`,
			poke: func(g *guestsim.Guest) {
				hide(g)
				runsIn(g, 0xfffff80720000000, secure)
			},
		},
		{
			name: "hypervisor", opt: guestsim.Options{CPUs: 2}, want: finding.SecureKernel.ID(), says: `"hvix64.exe"`,
			poke: func(g *guestsim.Guest) {
				hide(g)
				runsIn(g, 0xfffff80720000000, guestsim.ImageIdentity{Size: 0x10000, Export: "hvix64.exe", PDB: "hvix64.pdb"})
			},
		},
		{
			name: "the kernel's first milliseconds", opt: guestsim.Options{CPUs: 2, Encoded: true}, want: finding.NotBooted.ID(), says: `too early: the kernel "ntoskrnl.exe"`,
			poke: early,
		},
		{
			name: "the kernel's first milliseconds, another build", opt: guestsim.Options{Build: 26100, LA57: true, Seed: 2}, want: finding.NotBooted.ID(), says: "too early",
			poke: early,
		},
		{
			name: "the kernel's first milliseconds, no notes", opt: guestsim.Options{File: noCPUs}, want: finding.NotBooted.ID(), says: "too early",
			poke: early,
		},
		{name: "a page of zeros and no kernel", opt: guestsim.Options{File: noCPUs}, want: finding.NoKDBG.ID(), poke: func(g *guestsim.Guest) {
			early(g)
			g.Write(g.KDBG, make([]byte, len(g.Plain)))
			g.Write(g.KDBGCopy, make([]byte, len(g.Plain)))
			g.Write(guestsim.KernBase, make([]byte, 0x1000))
		}},
		{name: "nothing at all", opt: guestsim.Options{File: noCPUs}, want: finding.NoKDBG.ID(), poke: wipe},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.opt.File.NoGuestNote = true
			if tt.opt.RAM == nil {
				tt.opt.RAM = []guestsim.Range{{Start: 0, Size: 0x40000}, {Start: 0x100000, Size: 0x20000}, {Start: 0x100000000, Size: 0x20000}}
			}
			g := guestsim.New(tt.opt)
			tt.poke(g)
			_, r, err := convertSim(t, g, convert.Options{})
			var refused *finding.RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, tt.want, refused.Finding.ID, err.Error())
			assert.Contains(t, err.Error(), tt.says)
			assert.NotEmpty(t, refused.Finding.Advice)
			assert.Equal(t, "FAIL", r.Verdict)
		})
	}
}

// TestSecureKernelWithMemory: that the vCPUs were elsewhere costs nothing when
// Windows' own page tables are in memory.
func TestSecureKernelWithMemory(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{Encoded: true, File: guestsim.FileOptions{NoGuestNote: true}})
	runsIn(g, 0xfffff80720000000, guestsim.ImageIdentity{Size: 0x10000, Export: "securekernel.exe", PDB: "securekernel.pdb"})
	dmp, r, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, g.DTB, u64(dmp, 0x10))
	assert.Contains(t, findingOf(r, finding.GuestFound.ID()).Message, "self-map")
}

// TestDecoys: blocks that are not the kernel's do not keep it from being found.
func TestDecoys(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{
		Encoded: true, File: guestsim.FileOptions{NoGuestNote: true, NoCPUNotes: true},
		RAM: []guestsim.Range{{Start: 0, Size: 0x80000}, {Start: 0x100000, Size: 0x20000}},
	})
	other := guestsim.KDBGBlock(26100, guestsim.KernBase+0x40000000)
	for i := range uint64(40) {
		va := 0xffffb00000000000 + i*0x1000
		g.Map(va, 0x1000)
		block := other
		if i%2 == 0 { // the right kernel's, but stale
			block = append([]byte(nil), g.Plain...)
			binary.LittleEndian.PutUint64(block[0x48:], guestsim.KernBase+0x1230)
		}
		g.Write(va+8*i, block)
	}
	dmp, _, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, g.KDBG, u64(dmp, 0x80))
	assert.Equal(t, g.Plain, at(t, dmp, g, g.KDBG, len(g.Plain)))
}
