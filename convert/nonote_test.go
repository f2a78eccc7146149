package convert_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/guestsim"
)

// builtFields are the header fields in which a header that windmp builds differs
// from the one that Windows made when the guest's driver started.
var builtFields = []allowed{
	{"ContextRecord behind the CONTEXT", 0x818, 0xf00 - 0x818},
	{"Comment", 0xfb0, 128},
	{"WriterStatus", 0x1048, 4},
	{"KdSecondaryVersion", 0x104d, 1},
	{"Attributes", 0x1050, 4},
	{"BootID", 0x1054, 4},
}

// editedPlaces are where a report's edits lie in its dump.
func editedPlaces(t *testing.T, dmp []byte, r *report.Report) []allowed {
	t.Helper()
	var list []allowed
	for _, e := range r.Edits {
		list = append(list, allowed{e.Reason, fileOffset(t, dmp, uint64(e.PA)), int64(e.Size)})
	}
	return list
}

// withoutNote are guests, and the way by which each must be found.
var withoutNote = []struct {
	name string
	opt  guestsim.Options
	poke func(g *guestsim.Guest)
	via  string
}{
	{name: "plain", via: "CR3 of vCPU 0"},
	{name: "encoded", opt: guestsim.Options{Encoded: true, CPUs: 3}, via: "CR3 of vCPU 0"},
	{name: "9600", opt: guestsim.Options{Build: 9600, Encoded: true}, via: "CR3 of vCPU 0"},
	{name: "26100", opt: guestsim.Options{Build: 26100, Encoded: true, CPUs: 2, Odd: true}, via: "CR3 of vCPU 0"},
	{name: "crashed", opt: guestsim.Options{CPUs: 3, BugCheck: crash}, via: "CR3 of vCPU 0"},
	{name: "block across scattered pages", opt: guestsim.Options{Encoded: true, KDBGOffset: 0xf40}, via: "CR3 of vCPU 0"},
	{name: "5 levels", opt: guestsim.Options{LA57: true, Encoded: true}, via: "CR3 of vCPU 0"},
	{name: "in user mode", opt: guestsim.Options{CPUs: 2, UserMode: []int{0, 1}, Encoded: true}, via: "CR3 of vCPU 0"},
	{name: "shadow", opt: guestsim.Options{CPUs: 2, Shadow: true, Encoded: true, PCID: true}, via: "offset in the entry stub"},
	{name: "shadow in user mode", opt: guestsim.Options{CPUs: 2, Shadow: true, UserMode: []int{0, 1}}, via: "offset in the entry stub"},
	{name: "shadow of a new build", opt: guestsim.Options{Shadow: true, StubOffset: 0x6f58}, via: "the offset in the entry stub"},
	{
		name: "shadow, stub not readable", opt: guestsim.Options{Build: 26100, Shadow: true}, via: "a known offset",
		poke: func(g *guestsim.Guest) { g.Write(guestsim.Handler, make([]byte, 64)) },
	},
	{
		name: "first CR3 of no use", opt: guestsim.Options{CPUs: 2}, via: "CR3 of vCPU 1",
		poke: func(g *guestsim.Guest) { g.VCPUs[0].CR3 = g.Runs()[0].Start },
	},
	{
		name: "no IDT, system call entry saved", via: "CR3 of vCPU 0",
		poke: func(g *guestsim.Guest) { g.VCPUs[0].IDT.Base, g.VCPUs[0].Rip = 0, 0 },
	},
	{
		name: "no IDT, in user mode on shadow page tables of a new build", opt: guestsim.Options{Shadow: true, UserMode: []int{0}, StubOffset: 0x6f58}, via: "offset in the entry stub",
		poke: func(g *guestsim.Guest) { g.VCPUs[0].IDT.Base = 0 },
	},
	{
		name: "vCPUs without a trace of the kernel", opt: guestsim.Options{Encoded: true}, via: "self-map",
		poke: func(g *guestsim.Guest) {
			v := &g.VCPUs[0]
			v.IDT.Base, v.Rip, v.GS.Base = 0, 0, 0
		},
	},
	{name: "self-map", opt: guestsim.Options{File: noCPUs, Encoded: true}, via: "self-map"},
	{name: "self-map, plain", opt: guestsim.Options{File: noCPUs, Build: 9600}, via: "self-map"},
	{name: "self-map, scattered", opt: guestsim.Options{File: noCPUs, KDBGOffset: 0xf40}, via: "self-map"},
	{name: "no self-map", opt: guestsim.Options{File: noCPUs, Encoded: true, NoSelfMap: true}, via: "maps the kernel's addresses"},
	{name: "no self-map, 5 levels", opt: guestsim.Options{File: noCPUs, LA57: true}, via: "maps the kernel's addresses"},
	{name: "low stub", opt: guestsim.Options{File: noCPUs, LowStub: true, NoSelfMap: true}, via: "low stub"},
	{name: "CR3s of no use", opt: guestsim.Options{CPUs: 2}, via: "self-map", poke: func(g *guestsim.Guest) { g.VCPUs[0].CR3, g.VCPUs[1].CR3 = 0, 0x5000 }},
	{
		name: "KDBG's list head gone", opt: guestsim.Options{File: noCPUs, Encoded: true}, via: "self-map",
		poke: func(g *guestsim.Guest) { g.Write64(g.Field("List.Flink"), 0) },
	},
}

var noCPUs = guestsim.FileOptions{NoCPUNotes: true}

// TestWithoutNote: the dump of a guest without a header is the dump of the same
// guest with one, but for the named fields.
func TestWithoutNote(t *testing.T) {
	t.Parallel()
	for _, tt := range withoutNote {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(tt.opt)
			if tt.poke != nil {
				tt.poke(g)
			}
			want, with, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			g.Options.File.NoGuestNote = true
			got, r, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)

			list := slices.Concat(builtFields, editedPlaces(t, got, r), editedPlaces(t, want, with))
			if tt.opt.Encoded { // the header of the guest leads to the driver's copy
				list = append(list, allowed{"KdDebuggerDataBlock", 0x80, 8})
				assert.Equal(t, g.KDBG, u64(got, 0x80))
				assert.Equal(t, g.Plain, at(t, got, g, g.KDBG, len(g.Plain)))
				assert.Equal(t, byte(0), at(t, got, g, g.Flag, 1)[0], "KdpDataBlockEncoded is cleared")
			}
			equalButFor(t, want, got, list)
			for i := range g.Processors {
				assert.Equal(t, contextAt(t, want, g, i), contextAt(t, got, g, i))
			}
			assert.Equal(t, uint32(1<<5), u32(got, 0x1050), "DumpIsGeneratedOffline")
			assert.Equal(t, uint32(7), u32(got, 0x1054))
			assert.True(t, strings.HasPrefix(string(got[0xfb0:]), "windmp: "))
			found := findingOf(r, finding.GuestFound.ID())
			require.NotNil(t, found)
			assert.Contains(t, found.Message, tt.via)
			assert.Contains(t, found.Message, "the System process' own")
			assert.Empty(t, r.Improvements)
			if with.Verdict == "OK" {
				assert.Equal(t, "OK", r.Verdict)
			}
		})
	}
}

func findingOf(r *report.Report, id string) *finding.Finding {
	for i := range r.Findings {
		if r.Findings[i].ID == id {
			return &r.Findings[i]
		}
	}
	return nil
}

// TestBuiltHeader: what a built header says where a guest's structures are
// missing.
func TestBuiltHeader(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		opt   guestsim.Options
		poke  func(g *guestsim.Guest)
		want  string
		check func(t *testing.T, dmp []byte, g *guestsim.Guest)
	}{
		{
			name: "no version block", want: finding.HeaderBuilt.ID(),
			poke: func(g *guestsim.Guest) { g.Write64(g.Processors[0].PCR+0x108, 0) },
			check: func(t *testing.T, dmp []byte, _ *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, uint32(0xf), u32(dmp, 8))
				assert.Equal(t, uint32(19041), u32(dmp, 0xc))
			},
		},
		{
			name: "no version block, no lab", want: finding.HeaderBuilt.ID(),
			poke: func(g *guestsim.Guest) {
				g.Write64(g.Processors[0].PCR+0x108, 0)
				g.Write(g.NtBuildLab, []byte{0xff})
			},
			check: func(t *testing.T, dmp []byte, _ *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, uint32(19041), u32(dmp, 0xc))
			},
		},
		{
			name: "version block of another kernel, checked build", want: finding.HeaderBuilt.ID(),
			poke: func(g *guestsim.Guest) {
				g.Write64(g.KdVersionBlock+0x10, guestsim.KernBase+0x1000)
				g.Write(g.NtBuildLab, []byte("9600.17031.amd64chk.winblue"))
			},
			check: func(t *testing.T, dmp []byte, _ *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, uint32(0xc), u32(dmp, 8))
				assert.Equal(t, uint32(9600), u32(dmp, 0xc))
			},
		},
		{
			name: "processors are not the notes", opt: guestsim.Options{CPUs: 3, VCPUOrder: []int{1}}, want: finding.VCPUUnmatched.ID(),
			check: func(t *testing.T, dmp []byte, _ *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, uint32(3), u32(dmp, 0x34))
			},
		},
		{
			name: "processor count not known", opt: guestsim.Options{CPUs: 3}, want: finding.HeaderBuilt.ID(),
			poke: func(g *guestsim.Guest) { g.Write32(guestsim.SharedUserData+0x3c0, 0) },
			check: func(t *testing.T, dmp []byte, _ *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, uint32(3), u32(dmp, 0x34))
			},
		},
		{
			name: "no memory block", opt: guestsim.Options{VGA: true}, want: finding.MemoryGuessed.ID(),
			poke: func(g *guestsim.Guest) { g.Write64(g.Field("MmPhysicalMemoryBlock"), 0) },
			check: func(t *testing.T, dmp []byte, _ *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, uint32(3), u32(dmp, 0x88), "without video memory and ROM")
				assert.Equal(t, uint64(0), u64(dmp, 0x98))
			},
		},
		{
			name: "a run wraps", want: finding.MemoryGuessed.ID(),
			poke: func(g *guestsim.Guest) { g.Write64(g.Read64(g.Field("MmPhysicalMemoryBlock"))+0x18, ^uint64(0)) },
		},
		{
			name: "2^32 runs", want: finding.MemoryGuessed.ID(),
			poke: func(g *guestsim.Guest) { g.Write32(g.Read64(g.Field("MmPhysicalMemoryBlock")), 0xffffffff) },
		},
		{
			name: "the file lacks memory", want: finding.MemoryCut.ID(),
			poke: func(g *guestsim.Guest) {
				block := g.Read64(g.Field("MmPhysicalMemoryBlock"))
				last := block + 0x10*uint64(len(g.Runs()))
				g.Write64(last+8, g.Read64(last+8)+5)
				g.Write64(block+8, g.Read64(block+8)+5)
			},
			check: func(t *testing.T, dmp []byte, g *guestsim.Guest) {
				t.Helper()
				n := uint64(0)
				for _, run := range g.Runs() {
					n += run.Size
				}
				assert.Equal(t, 0x2000+n, uint64(len(dmp)))
			},
		},
		{
			name: "no System process", want: finding.HeaderBuilt.ID(),
			poke: func(g *guestsim.Guest) { g.Write64(g.EProcess+0x28, 0x7000) },
			check: func(t *testing.T, dmp []byte, g *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, g.DTB, u64(dmp, 0x10))
			},
		},
		{
			name: "two flags fit", opt: guestsim.Options{Encoded: true}, want: finding.FlagKept.ID(),
			poke: func(g *guestsim.Guest) { g.Write64(g.WaitNever, 0) },
			check: func(t *testing.T, dmp []byte, g *guestsim.Guest) {
				t.Helper()
				assert.Equal(t, byte(1), at(t, dmp, g, g.Flag, 1)[0])
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.opt.File.NoGuestNote = true
			g := guestsim.New(tt.opt)
			if tt.poke != nil {
				tt.poke(g)
			}
			dmp, r, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			assert.Contains(t, ids(r), tt.want)
			if tt.check != nil {
				tt.check(t, dmp, g)
			}
		})
	}
}

// otherProcess makes page tables of another process: the same kernel half, and
// lets the vCPUs run on them.
func otherProcess(g *guestsim.Guest) uint64 {
	root := g.NewRoot()
	top := g.ReadPhys(g.DTB, 0x1000)
	copy(top[:0x800], make([]byte, 0x800))
	g.WritePhys(root.DTB, top)
	for i := range g.VCPUs {
		g.VCPUs[i].CR3 = root.DTB
	}
	return root.DTB
}

// TestSystemDTB: vCPUs that run some process lead to the System process' page
// tables, by export or by the idle thread.
func TestSystemDTB(t *testing.T) {
	t.Parallel()
	for _, byExport := range []bool{true, false} {
		g := guestsim.New(guestsim.Options{File: guestsim.FileOptions{NoGuestNote: true}})
		other := otherProcess(g)
		if !byExport {
			g.Write32(guestsim.KernBase+0x128+0x70, 0)
		}
		dmp, r, err := convertSim(t, g, convert.Options{})
		require.NoError(t, err, "%v", byExport)
		assert.Equal(t, g.DTB, u64(dmp, 0x10))
		assert.NotEqual(t, other, u64(dmp, 0x10))
		assert.Equal(t, report.KDBGImage, r.Guest.KDBGSource)
	}
}

// TestSystemDTBInItsMode: a table below the root of five levels is a root of four that maps
// the kernel. It is not the System process', which has its own mode.
func TestSystemDTBInItsMode(t *testing.T) {
	t.Parallel()
	for _, note := range []bool{true, false} {
		g := guestsim.New(guestsim.Options{LA57: true, File: guestsim.FileOptions{NoGuestNote: !note}})
		below := u64(g.ReadPhys(g.DTB, 0x1000), 0xff8) & 0xffffffffff000
		dmp, r, err := convertSim(t, g, convert.Options{Guest: guest.Options{DTB: below}})
		require.NoError(t, err)
		assert.Equal(t, g.DTB, u64(dmp, 0x10))
		assert.Equal(t, 5, r.Guest.PagingLevels)
		assert.Contains(t, ids(r), finding.FiveLevels.ID())
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		opt    func(g *guestsim.Guest) convert.Options
		reason string // of the refusal; empty when it converts
	}{
		{"dtb", func(g *guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{DTB: g.DTB | 2}}
		}, ""},
		{"kernel base", func(*guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{KernelBase: guestsim.KernBase}}
		}, ""},
		{"kdbg", func(g *guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{KDBG: g.KDBG}}
		}, ""},
		{"all", func(g *guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{DTB: g.DTB, KernelBase: guestsim.KernBase, KDBG: g.KDBG}}
		}, ""},
		{"copy of kdbg", func(g *guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{KDBG: g.KDBGCopy}}
		}, ""},
		{"wrong dtb", func(g *guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{DTB: g.Runs()[0].Start}}
		}, "the given root"},
		{"dtb outside memory", func(*guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{DTB: 0x7777000}}
		}, "the given root"},
		{"dtb without a kernel", func(g *guestsim.Guest) convert.Options {
			root := g.NewRoot()
			ksd := g.Read(guestsim.SharedUserData, 0x1000)
			root.Within(func() {
				g.Map(guestsim.SharedUserData, 0x1000)
				g.Write(guestsim.SharedUserData, ksd)
			})
			return convert.Options{Guest: guest.Options{DTB: root.DTB}}
		}, "no kernel with a KDBG"},
		{"a driver's base", func(g *guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{KernelBase: g.Modules[1].Base}}
		}, "the given kernel base"},
		{"base of another image", func(*guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{KernelBase: 0xfffff80499000000}}
		}, `"other.exe"`},
		{"wrong kdbg", func(g *guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{KDBG: g.KDBG + 8}}
		}, "the given KDBG"},
		{"kdbg of another kernel", func(g *guestsim.Guest) convert.Options {
			return convert.Options{Guest: guest.Options{KernelBase: guestsim.KernBase, KDBG: g.KiBugcheckData}}
		}, "the given KDBG"},
	}
	for _, tt := range tests {
		for _, note := range []bool{false, true} {
			for _, file := range []guestsim.FileOptions{{}, noCPUs} {
				g := guestsim.New(guestsim.Options{Encoded: true, File: file})
				g.Options.File.NoGuestNote = !note
				g.Image(0xfffff80499000000, guestsim.ImageIdentity{Size: 0x10000, Export: "other.exe", PDB: "other.pdb"})
				dmp, _, err := convertSim(t, g, tt.opt(g))
				if tt.reason == "" {
					require.NoError(t, err, "%s, note %v", tt.name, note)
					assert.Equal(t, g.DTB, u64(dmp, 0x10))
					continue
				}
				var refused *finding.RefusedError
				require.ErrorAs(t, err, &refused, "%s, note %v", tt.name, note)
				assert.Equal(t, finding.GivenWrong.ID(), refused.Finding.ID)
				assert.Contains(t, err.Error(), tt.reason)
			}
		}
	}
}

// TestGivenWithoutBlock: where KDBG is gone, a root and a base that are right are not
// blamed for it.
func TestGivenWithoutBlock(t *testing.T) {
	t.Parallel()
	for name, given := range map[string]guest.Options{
		"root": {}, "base": {KernelBase: guestsim.KernBase}, "both": {KernelBase: guestsim.KernBase},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(guestsim.Options{CPUs: 2, File: guestsim.FileOptions{NoGuestNote: true}})
			if name != "base" {
				given.DTB = g.DTB
			}
			dump, _, err := convertSim(t, g, convert.Options{})
			require.NoError(t, err)
			for _, block := range []uint64{g.KDBG, g.KDBGCopy} {
				at, ok := openBytes(t, dump).FileOffset(g.PA(block))
				require.True(t, ok)
				clear(dump[at : int(at)+len(g.Plain)])
				g.Write(block, make([]byte, len(g.Plain)))
			}
			_, _, err = convertSim(t, g, convert.Options{Guest: given})
			var refused *finding.RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, finding.NotBooted.ID(), refused.Finding.ID)
			assert.Contains(t, err.Error(), "has no KDBG")
			f := checkInput(t.Context(), source.Reader("x.dmp", bytes.NewReader(dump), int64(len(dump))), inspect.CheckOptions{Level: inspect.CheckQuick, Guest: given})
			assert.Contains(t, warned(f.Findings), finding.BlockUnread.ID())
			assert.NotContains(t, warned(f.Findings), finding.GivenWrong.ID())
		})
	}
}
