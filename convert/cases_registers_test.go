package convert_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
	"windmp/vtop"
)

// wantedCPU is what a case's processor shows; rip 0 for one that keeps what memory has.
type wantedCPU struct {
	source report.ContextSource
	rip    uint64
}

// TestRegisterCases: vCPUs of real machines, and whose registers they are.
func TestRegisterCases(t *testing.T) {
	t.Parallel()
	const first, second = 0xfffff80041ffc801, 0xfffff80041ffc811
	paired := []wantedCPU{{report.FromVCPU, first}, {report.FromVCPU, second}}
	foreign := wantedCPU{source: report.FromForeign}
	for _, tt := range []struct {
		name    string
		cpus    []wantedCPU
		verdict string
		shown   int
		finds   []string
	}{
		{"C01.elf", []wantedCPU{paired[0], foreign}, "WARN", 0, []string{finding.VCPUForeign.ID()}},
		{"C02.elf", []wantedCPU{paired[0], foreign}, "WARN", 0, []string{finding.VCPUForeign.ID()}},
		{"C03.elf", []wantedCPU{foreign, foreign}, "WARN", 0, []string{finding.VCPUForeign.ID(), finding.NoneInWindows.ID()}},
		{"C06.elf", paired, "OK", 0, []string{finding.VCPUOrder.ID()}},
		{"C07.elf", paired, "OK", 0, []string{finding.VCPUOrder.ID()}},
		{"C08.elf", []wantedCPU{{report.FromVCPU, 0x77431234}, paired[1]}, "WARN", 0, []string{finding.ContextOdd.ID()}},
		{"C12.elf", []wantedCPU{foreign, foreign}, "WARN", 0, []string{finding.VCPUForeign.ID(), finding.NoneInWindows.ID()}},
		{"C14.elf", []wantedCPU{foreign, paired[1]}, "WARN", 1, []string{finding.VCPUForeign.ID()}},
		{"F01.elf", []wantedCPU{{report.FromSaved, 0x7ff712345678}, {report.FromSaved, 0xfffff80041ff7780}}, "OK", 1, nil},
		{"F03.elf", []wantedCPU{{report.FromSaved, 0xffffb98010010123}, {report.FromSaved, 0xfffff80041ff7780}}, "OK", 1, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := caseFile(t, tt.name)
			dmp, r := convertAll(t, source.File(path), convert.Options{})
			assert.Equal(t, tt.verdict, r.Verdict)
			for _, id := range tt.finds {
				assert.NotNil(t, findingOf(r, id), id)
			}
			g := findIn(t, path)
			require.Len(t, r.Processors, len(tt.cpus))
			for i, want := range tt.cpus {
				got := r.Processors[i]
				assert.Equal(t, want.source, got.Contexts, "processor %d: %s", i, got.Note)
				assert.Equal(t, i == tt.shown, got.ShownFirst, "processor %d", i)
				if want.rip != 0 {
					assert.Equal(t, want.rip, uint64(got.IP), "processor %d", i)
				}
				if want.source != report.FromVCPU {
					assertKept(t, dmp, g, i)
				}
			}
		})
	}
}

// findIn examines a file.
func findIn(t *testing.T, path string) *guest.Guest {
	t.Helper()
	im, err := open.File(t.Context(), path, open.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = im.Close() })
	g, err := guest.Find(t.Context(), im, guest.Options{})
	require.NoError(t, err)
	return g
}

// assertKept: the dump has, of a processor, the bytes that the guest's memory has.
func assertKept(t *testing.T, dmp []byte, g *guest.Guest, i int) {
	t.Helper()
	p := g.Processors()[i]
	for va, n := range map[vtop.VA]int{
		p.Context: g.Machine().Header.Registers.Size(), p.SpecialRegisters: g.Machine().Kernel.Specials.Size,
	} {
		want, got := make([]byte, n), make([]byte, 0, n)
		_, err := g.Memory().Space.ReadVirtual(want, va)
		require.NoError(t, err)
		for k := range want {
			m, err := g.Memory().Space.Translate(va + vtop.VA(k))
			require.NoError(t, err)
			got = append(got, dmp[fileOffset(t, dmp, uint64(m.PA))])
		}
		assert.True(t, bytes.Equal(want, got), "processor %d: what memory has at %s", i, va)
	}
}

// ownTables gives each processor descriptor tables of its own, as Windows does.
func ownTables(g *guestsim.Guest) {
	for i, p := range g.Processors {
		gdt := p.Stack + 0x100
		g.Write(gdt, g.Read(g.GDT, 0x70))
		g.Write64(p.PCR, gdt)
		g.Write64(p.PCR+0x08, p.Stack+0x300)
		g.Write64(p.PCR+0x38, p.Stack+0x200)
		g.Write64(p.Special+0x58, gdt)
		g.Write64(p.Special+0x68, p.Stack+0x200)
		for j, of := range g.Options.VCPUOrder {
			if of == i {
				v := &g.VCPUs[j]
				v.GDT.Base, v.IDT.Base, v.TR.Base = gdt, p.Stack+0x200, p.Stack+0x300
			}
		}
	}
}

// hypervisor lets a vCPU run on page tables of its own, in an image.
func hypervisor(g *guestsim.Guest, vcpu int, name string) {
	const base = 0xfffff87100000000
	root := g.NewRoot()
	root.Within(func() {
		g.Image(base, guestsim.ImageIdentity{Size: 0x4000, Export: name, PDB: "hv.pdb"})
		for va := uint64(base + 0x1000); va < base+0x4000; va += 0x1000 {
			g.Map(va, 0x1000)
		}
	})
	v := &g.VCPUs[vcpu]
	v.CR3, v.Rip, v.Rsp, v.GS.Base = root.DTB, base+0x1234, base+0x3f80, base+0x3000
	v.GDT.Base, v.IDT.Base, v.TR.Base = base+0x2000, base+0x2100, base+0x2200
}

// TestPairing: which vCPU runs which processor, by what its registers prove.
func TestPairing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opt  guestsim.Options
		poke func(g *guestsim.Guest)
		// vcpus are the positions that are expected for the processors, -1 for none.
		vcpus []int
		says  string // of the finding about a vCPU that runs something else
		also  string
	}{
		{
			name: "in the hypervisor", opt: guestsim.Options{CPUs: 3, Build: 26100}, vcpus: []int{0, -1, 2}, says: "vCPU 1 ran the hypervisor, \"hvix64.exe\"",
			poke: func(g *guestsim.Guest) { hypervisor(g, 1, "hvix64.exe") },
		},
		{
			name: "in the secure kernel", opt: guestsim.Options{CPUs: 2}, vcpus: []int{0, -1}, says: "vCPU 1 ran the secure kernel",
			poke: func(g *guestsim.Guest) { hypervisor(g, 1, "securekernel.exe") },
		},
		{
			name: "in another Windows", opt: guestsim.Options{CPUs: 2}, vcpus: []int{0, -1}, says: "vCPU 1 ran another Windows",
			poke: func(g *guestsim.Guest) { hypervisor(g, 1, "ntoskrnl.exe") },
		},
		{
			name: "in the hypervisor, which keeps the guest's other GS base", opt: guestsim.Options{CPUs: 2}, vcpus: []int{0, -1}, says: "vCPU 1 ran",
			poke: func(g *guestsim.Guest) {
				hypervisor(g, 1, "hvax64.exe")
				g.VCPUs[1].KernelGSBase = g.Processors[1].PCR
			},
		},
		{
			name: "page tables of nothing known", opt: guestsim.Options{CPUs: 2}, vcpus: []int{0, -1}, says: "vCPU 1 ran on page tables that are not this Windows'",
			poke: func(g *guestsim.Guest) { g.VCPUs[1].CR3 = g.NewRoot().DTB; g.VCPUs[1].Rip = 0xfffff80412ff0000 },
			also: "not this Windows'",
		},
		{
			name: "page tables outside of the source", opt: guestsim.Options{CPUs: 2}, vcpus: []int{0, -1}, says: "not in the source",
			poke: func(g *guestsim.Guest) {
				hypervisor(g, 1, "hvix64.exe")
				g.VCPUs[1].CR3 = 0x7f0000000
			},
		},
		{
			name: "firmware", opt: guestsim.Options{CPUs: 2}, vcpus: []int{-1, 1}, says: "addresses are physical ones",
			poke: func(g *guestsim.Guest) {
				root := g.NewRoot()
				root.Within(func() { g.MapTo(0x100000, 0x100000, 1) })
				v := &g.VCPUs[0]
				v.CR3, v.Rip, v.GS.Base, v.GDT.Base, v.IDT.Base, v.TR.Base = root.DTB, 0x100234, 0, 0x100300, 0x100400, 0
			},
		},
		{
			name: "SMM begins, tables are Windows'", opt: guestsim.Options{CPUs: 2}, vcpus: []int{-1, 1}, says: "system management mode (SMM)",
			poke: func(g *guestsim.Guest) {
				v := &g.VCPUs[0]
				v.CR0, v.Rip, v.CS.Selector, v.CS.Base, v.CS.Flags = 0x10, 0x8000, 0xb000, 0x7ffb0000, 0x9300
			},
		},
		{
			name: "reset, the note is still there", opt: guestsim.Options{CPUs: 2}, vcpus: []int{-1, -1}, says: "vCPU 1 was at the reset vector", also: "none of the 2 vCPUs is known to run this Windows",
			poke: func(g *guestsim.Guest) {
				for i := range g.VCPUs {
					g.VCPUs[i] = guestsim.VCPU{CR0: 0x60000010, Rip: 0xfff0, CS: guestsim.Segment{Selector: 0xf000, Limit: 0xffff, Flags: 0x9b00, Base: 0xffff0000}}
				}
			},
		},
		{
			name: "before SWAPGS", opt: guestsim.Options{CPUs: 3, VCPUOrder: []int{2, 0, 1}}, vcpus: []int{1, 2, 0}, also: "not in the order",
			poke: func(g *guestsim.Guest) {
				for i := range g.VCPUs {
					g.VCPUs[i].GS.Base, g.VCPUs[i].KernelGSBase = g.VCPUs[i].KernelGSBase, g.VCPUs[i].GS.Base
				}
			},
		},
		{
			name: "by descriptor tables alone, no other GS base", vcpus: []int{1, 0}, also: "not in the order",
			opt: guestsim.Options{CPUs: 2, VCPUOrder: []int{1, 0}, UserMode: []int{0, 1}, File: guestsim.FileOptions{NoKernelGSBase: true}},
		},
		{
			name: "by the task alone", opt: guestsim.Options{CPUs: 2, VCPUOrder: []int{1, 0}}, vcpus: []int{1, 0}, also: "not in the order",
			poke: func(g *guestsim.Guest) {
				for i := range g.VCPUs {
					v := &g.VCPUs[i]
					v.GS.Base, v.KernelGSBase, v.GDT.Base, v.IDT.Base = 0, 0, 0, 0
				}
			},
		},
		{
			name: "user mode sets its GS base to another's KPCR", opt: guestsim.Options{CPUs: 2, UserMode: []int{0}}, vcpus: []int{0, 1},
			poke: func(g *guestsim.Guest) { g.VCPUs[0].GS.Base = g.Processors[1].PCR },
		},
		{
			name: "a register of another time against all of them", opt: guestsim.Options{CPUs: 2}, vcpus: []int{-1, 1}, also: "1 of 2 vCPUs in the source can't be matched",
			poke: func(g *guestsim.Guest) {
				v := &g.VCPUs[0]
				v.GS.Base, v.KernelGSBase, v.GDT.Base, v.IDT.Base, v.TR.Base = 0, g.Processors[1].PCR, 0, 0, 0
			},
		},
		{
			name: "one vCPU twice in the source", opt: guestsim.Options{CPUs: 2}, vcpus: []int{0, 1}, also: "1 of 3 vCPUs in the source can't be matched",
			poke: func(g *guestsim.Guest) { g.VCPUs = append(g.VCPUs, g.VCPUs[1]) },
		},
		{
			name: "two with the registers of one", opt: guestsim.Options{CPUs: 3}, vcpus: []int{-1, -1, 2}, also: "vCPU 0 and vCPU 1 have the registers of processor 1 alike",
			poke: func(g *guestsim.Guest) {
				v, other := &g.VCPUs[0], &g.VCPUs[1]
				v.GS.Base, v.KernelGSBase, v.GDT.Base, v.IDT.Base, v.TR.Base = other.GS.Base, other.KernelGSBase, other.GDT.Base, other.IDT.Base, other.TR.Base
			},
		},
		{
			name: "Windows' page tables, no register proves the processor", opt: guestsim.Options{CPUs: 2}, vcpus: []int{0, -1}, also: "1 of 2 vCPUs in the source can't be matched",
			poke: func(g *guestsim.Guest) {
				v := &g.VCPUs[1]
				v.GS.Base, v.KernelGSBase, v.GDT.Base, v.IDT.Base, v.TR.Base = 0, 0, 0, 0, 0
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(tt.opt)
			ownTables(g)
			if tt.poke != nil {
				tt.poke(g)
			}
			dmp, r, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			var said string
			for _, f := range r.Findings {
				said += f.Message + "\n"
			}
			assert.Contains(t, said, tt.says)
			assert.Contains(t, said, tt.also)
			assert.Equal(t, tt.says != "", findingOf(r, finding.VCPUForeign.ID()) != nil)
			for i, want := range tt.vcpus {
				assert.Equal(t, want, r.Processors[i].VCPU, "processor %d", i)
				p := g.Processors[i]
				if want < 0 {
					assert.Equal(t, report.FromForeign, r.Processors[i].Contexts)
					assert.Equal(t, g.Read(p.Context, 0x4d0), at(t, dmp, g, p.Context, 0x4d0))
					assert.Equal(t, g.Read(p.Special, 0xd8), at(t, dmp, g, p.Special, 0xd8))
					continue
				}
				assert.Equal(t, g.VCPUs[want].Rip, contextAt(t, dmp, g, i).Rip)
			}
		})
	}
}

// TestForeignRootIsNoPage: a kernel dump keeps the root of a vCPU that runs the guest,
// and not that of one that runs something else.
func TestForeignRootIsNoPage(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	ownTables(g)
	hypervisor(g, 1, "hvix64.exe")
	other := g.VCPUs[1].CR3
	process := otherProcess(g)
	g.VCPUs[1].CR3 = other
	dmp, _, err := convertSim(t, g, convert.Options{Plan: plan.Options{Type: plan.OutputKernel}})
	require.NoError(t, err)
	pages := pagesOf(t, dmp, "SDMP")
	assert.Contains(t, pages, process>>12)
	assert.NotContains(t, pages, other>>12)
}

// TestPairing32 is TestPairing for a guest of 32 bits.
func TestPairing32(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		poke  func(b *bare32)
		vcpus []int
		says  string
	}{
		{name: "another order, by FS", vcpus: []int{1, 0}, poke: func(b *bare32) {
			b.cpus[0], b.cpus[1] = b.cpus[1], b.cpus[0]
		}},
		{name: "another order, user mode, by IDT and task", vcpus: []int{1, 0}, poke: func(b *bare32) {
			b.userMode()
			b.cpus[0], b.cpus[1] = b.cpus[1], b.cpus[0]
			for i := range b.cpus {
				b.cpu(i).GDT.Base = 0
			}
		}},
		{name: "in another guest", vcpus: []int{0, -1}, says: "page tables that are not this Windows'", poke: func(b *bare32) {
			c := b.cpu(1)
			c.CR3 = 0x3f000
			clear(b.at(0x3f000)[:0x1000])
			c.GDT.Base, c.IDT.Base, c.TR.Base, c.FS.Base = 0xc1000000, 0xc1001000, 0xc1002000, 0xc1003000
		}},
		{name: "in SMM", vcpus: []int{-1, 1}, says: "real mode or system management mode", poke: func(b *bare32) {
			c := b.cpu(0)
			c.CR0, c.CS.Base, c.CS.Selector, c.Rip = 0x10, 0x30000, 0x3000, 0x8000
		}},
		{name: "reset", vcpus: []int{-1, -1}, says: "at the reset vector", poke: func(b *bare32) {
			for i := range b.cpus {
				c := b.cpu(i)
				c.CR0, c.CR3, c.CS.Base, c.CS.Selector, c.Rip = 0x60000010, 0, 0xffff0000, 0xf000, 0xfff0
				c.GDT.Base, c.IDT.Base, c.TR.Base, c.FS.Base = 0, 0, 0, 0
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBare32(t, "x86-nopae-live-2cpu")
			tt.poke(b)
			file := b.file()
			dmp, r, err := convertBytes(t, file, convert.Options{})
			require.NoError(t, err)
			path := t.TempDir() + "/core"
			require.NoError(t, os.WriteFile(path, file, 0o600))
			g := findIn(t, path)
			for i, want := range tt.vcpus {
				assert.Equal(t, want, r.Processors[i].VCPU, "processor %d", i)
				if want < 0 {
					assertKept(t, dmp, g, i)
				} else {
					assert.Equal(t, b.cpu(want).Rip, uint64(r.Processors[i].IP))
				}
			}
			f := findingOf(r, finding.VCPUForeign.ID())
			require.Equal(t, tt.says != "", f != nil)
			if f != nil {
				assert.Contains(t, f.Message, tt.says)
			}
			assert.Equal(t, tt.name == "reset", findingOf(r, finding.NoneInWindows.ID()) != nil)
		})
	}
}

// TestNoSystemRegisters: a source that carries none at all is believed last: in its
// order, where nothing else tells, and after what Windows saved at a crash.
func TestNoSystemRegisters(t *testing.T) {
	t.Parallel()
	pairs := func(r *report.Report) (list []int) {
		for _, p := range r.Processors {
			list = append(list, p.VCPU)
		}
		return list
	}
	convertBare := func(t *testing.T, g *guestsim.Guest) *report.Report {
		t.Helper()
		_, r := convertAll(t, fileOf("image", stripNotes(t, g.ELF(), "QEMU")), convert.Options{})
		return r
	}
	t.Run("in the kernel, by the GS base", func(t *testing.T) {
		t.Parallel()
		r := convertBare(t, guestsim.New(guestsim.Options{CPUs: 2, VCPUOrder: []int{1, 0}}))
		assert.Equal(t, []int{1, 0}, pairs(r))
		assert.Nil(t, findingOf(r, finding.VCPUUnproved.ID()))
	})
	t.Run("in processes, by the order", func(t *testing.T) {
		t.Parallel()
		r := convertBare(t, guestsim.New(guestsim.Options{CPUs: 3, UserMode: []int{0, 2}}))
		assert.Equal(t, []int{0, 1, 2}, pairs(r))
		assert.Contains(t, findingOf(r, finding.VCPUUnproved.ID()).Message, "2 of 3 vCPUs are taken")
	})
	t.Run("somewhere else", func(t *testing.T) {
		t.Parallel()
		g := guestsim.New(guestsim.Options{CPUs: 2})
		g.VCPUs[1].GS.Base, g.VCPUs[1].Rip = 0xffffe80000300000, 0xfffff87f1a2b3c40
		r := convertBare(t, g)
		assert.Equal(t, []int{0, -1}, pairs(r))
		assert.Equal(t, report.FromForeign, r.Processors[1].Contexts)
		assert.NotNil(t, findingOf(r, finding.VCPUUnmatched.ID()))
	})
	t.Run("crashed", func(t *testing.T) {
		t.Parallel()
		r := convertBare(t, guestsim.New(guestsim.Options{CPUs: 2, UserMode: []int{0, 1}, BugCheck: crash}))
		for _, p := range r.Processors {
			assert.Equal(t, report.FromSaved, p.Contexts)
		}
	})
	t.Run("32 bits", func(t *testing.T) {
		t.Parallel()
		core := gunzip(t, samplePath("x86-nopae-live-2cpu.vmcore.gz"))
		_, r := convertAll(t, fileOf("image", stripNotes(t, core, "QEMU")), convert.Options{})
		assert.Equal(t, []int{0, 1}, pairs(r))
		assert.NotNil(t, findingOf(r, finding.VCPUUnproved.ID()))
	})
}

// TestSpareVCPUs: a machine that has more vCPUs than its Windows uses lacks nothing.
func TestSpareVCPUs(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	ownTables(g)
	waiting := g.VCPUs[1]
	waiting.CR0, waiting.CR3, waiting.Rip, waiting.CS.Base, waiting.CS.Selector = 0x60000010, 0, 0xfff0, 0xffff0000, 0xf000
	g.VCPUs = append(g.VCPUs, waiting, waiting)
	_, r, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, "OK", r.Verdict)
	assert.Contains(t, findingOf(r, finding.VCPUSpare.ID()).Message, "vCPU 2 was at the reset vector")
	assert.Nil(t, findingOf(r, finding.VCPUForeign.ID()))
}

// TestForeignOfCrashed: what Windows saved when it crashed needs no vCPU.
func TestForeignOfCrashed(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 3, BugCheck: crash})
	ownTables(g)
	hypervisor(g, 0, "hvax64.exe")
	hypervisor(g, 1, "hvax64.exe")
	g.Write32(g.Processors[1].Context+0x30, 0) // never written
	_, r, err := convertSim(t, g, convert.Options{})
	require.NoError(t, err)
	assert.NotNil(t, findingOf(r, finding.VCPUForeign.ID()))
	for i, want := range []report.ContextSource{report.FromSaved, report.FromForeign, report.FromSaved} {
		assert.Equal(t, want, r.Processors[i].Contexts, "processor %d", i)
	}
}

// TestForeignIsInNoCore: nothing of a vCPU that runs something else is in an ELF core.
func TestForeignIsInNoCore(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 3})
	ownTables(g)
	hypervisor(g, 1, "hvix64.exe")
	core, _, err := convertSim(t, g, convert.Options{Plan: plan.Options{To: plan.FormatELF}})
	require.NoError(t, err)
	im, err := physmemtest.Open(core)
	require.NoError(t, err)
	var rips []uint64
	for _, c := range im.CPUs() {
		rips = append(rips, physmem.X86Of(c).Rip)
	}
	assert.Equal(t, []uint64{g.VCPUs[0].Rip, g.VCPUs[2].Rip}, rips)
}

// TestCoreOfAnotherMachine: QEMU calls the core of an x64 guest a 32-bit one when its
// first vCPU has left 64-bit mode, with the guest's note and without.
func TestCoreOfAnotherMachine(t *testing.T) {
	t.Parallel()
	for _, noNote := range []bool{false, true} {
		g := guestsim.New(guestsim.Options{CPUs: 2, File: guestsim.FileOptions{NoGuestNote: noNote}})
		ownTables(g)
		g.VCPUs[1].IDT.Base = g.IDT // which has gates
		v := &g.VCPUs[0]
		v.CR0, v.CR3, v.CR4, v.Rip, v.CS.Selector, v.CS.Base, v.CS.Flags = 0x10, 0, 0, 0x8010, 0x3000, 0x30000, 0x9300
		file := g.ELF()
		binary.LittleEndian.PutUint16(file[18:], 3) // EM_386
		dmp, r, err := convertBytes(t, file, convert.Options{})
		require.NoError(t, err)
		assert.Equal(t, report.FromForeign, r.Processors[0].Contexts)
		assert.Equal(t, report.FromVCPU, r.Processors[1].Contexts)
		assert.True(t, r.Processors[1].ShownFirst)
		assert.Equal(t, g.VCPUs[1].Rip, contextAt(t, dmp, g, 1).Rip)
		assert.Contains(t, findingOf(r, finding.VCPUForeign.ID()).Message, "vCPU 0 was in real mode or system management mode")
		if noNote {
			assert.Contains(t, findingOf(r, finding.GuestFound.ID()).Message, "vCPU 1")
		}
	}
}
