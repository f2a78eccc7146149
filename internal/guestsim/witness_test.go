package guestsim_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/vtop"
	"windmp/winhdr"
	"windmp/winhdr/problem"
	"windmp/winhdr/wincontext"
)

// These tests hold this package's raw offsets against the structs of the
// packages under test: two statements of each layout, written apart.

func TestHeaderAgreesWithWinhdr(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 3, Build: 26100})
	h, err := winhdr.Decode(g.Header())
	require.NoError(t, err)
	assert.Equal(t, winhdr.SignaturePAGE, h.Signature)
	assert.Equal(t, winhdr.ValidDumpDU64, h.ValidDump)
	assert.Equal(t, uint32(0xf), h.MajorVersion)
	assert.Equal(t, uint32(26100), h.MinorVersion)
	assert.Equal(t, g.DTB, h.DirectoryTableBase)
	assert.Equal(t, g.MmPfnDatabase, h.PfnDataBase)
	assert.Equal(t, g.PsLoadedModuleList, h.PsLoadedModuleList)
	assert.Equal(t, g.PsActiveProcessHead, h.PsActiveProcessHead)
	assert.EqualValues(t, wincontext.MachineAMD64, h.MachineImageType)
	assert.Equal(t, uint32(3), h.NumberProcessors)
	assert.Zero(t, h.BugCheckCode)
	assert.Equal(t, problem.Fill, h.BugCheckCodePad)
	assert.Equal(t, [4]uint64{g.KDBGCopy}, h.BugCheckParameters)
	assert.Equal(t, g.KDBG, h.KdDebuggerDataBlock)
	assert.Equal(t, uint32(len(g.Runs())), h.RunTable().Count)
	assert.Equal(t, winhdr.DumpTypeFull, h.DumpType)
	assert.Equal(t, uint64(len(g.Header()))+h.RunTable().Pages*physmem.PageSize, h.RequiredDumpSpace)
	assert.Less(t, h.SystemTime, uint64(guestsim.SystemTime))
	assert.Less(t, h.SystemUpTime, uint64(guestsim.InterruptTime))
	assert.Equal(t, uint32(1), h.ProductType)
	assert.Equal(t, uint32(0x110), h.SuiteMask)
	assert.Zero(t, h.KdSecondaryVersion)
	assert.EqualValues(t, problem.Fill, h.Attributes)
	assert.Empty(t, h.Check())

	runs, problems := h.Runs()
	assert.Empty(t, problems)
	require.Len(t, runs, len(g.Runs()))
	for i, r := range g.Runs() {
		assert.Equal(t, physmem.Run{BasePage: r.Start / physmem.PageSize, PageCount: r.Size / physmem.PageSize}, runs[i])
	}
	assert.Equal(t, g.Header(), h.Encode())
}

func TestContextAgreesWithWinhdr(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: [5]uint64{0xe2}, Odd: true})
	for _, p := range g.Processors {
		c, err := wincontext.DecodeContext64(g.Read(p.Context, 0x4d0))
		require.NoError(t, err)
		require.NoError(t, c.PlausibleSaved())
		assert.Equal(t, p.SavedRip, c.Rip)
		assert.Equal(t, p.SavedRsp, c.Rsp)
		assert.Equal(t, c.MxCsr, c.FltSave.MxCsr)
		assert.Equal(t, uint64(0x400), c.Dr7)
		assert.Equal(t, uint16(0x53), c.SegFs)
	}
}

func TestELFAgreesWithPhysmem(t *testing.T) {
	t.Parallel()
	for name, opt := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(opt)
			file := g.ELF()
			im := opened(t, file)
			cpus := im.CPUs()
			require.Len(t, cpus, len(g.VCPUs))
			for i, v := range g.VCPUs {
				assert.Equal(t, uint32(i), cpus[i].ID)
				c := physmem.X86Of(cpus[i])
				assert.Equal(t,
					[]uint64{v.Rax, v.Rbx, v.Rcx, v.Rdx, v.Rsi, v.Rdi, v.Rsp, v.Rbp, v.R8, v.R9, v.R10, v.R11, v.R12, v.R13, v.R14, v.R15, v.Rip, v.Rflags},
					[]uint64{c.Rax, c.Rbx, c.Rcx, c.Rdx, c.Rsi, c.Rdi, c.Rsp, c.Rbp, c.R8, c.R9, c.R10, c.R11, c.R12, c.R13, c.R14, c.R15, c.Rip, c.Rflags})
				assert.Equal(t,
					[]guestsim.Segment{v.CS, v.DS, v.ES, v.FS, v.GS, v.SS, v.LDT, v.TR, v.GDT, v.IDT},
					segments(c.CS, c.DS, c.ES, c.FS, c.GS, c.SS, c.LDT, c.TR, c.GDT, c.IDT))
				assert.Equal(t, []uint64{v.CR0, v.CR2, v.CR3, v.CR4}, []uint64{c.CR0, c.CR2, c.CR3, c.CR4})
				assert.Equal(t, !opt.File.NoKernelGSBase, c.HasKernelGSBase)
				assert.Equal(t, opt.LA57, c.LA57())
			}
			if note := im.GuestNote(); assert.NotNil(t, note) {
				assert.Equal(t, g.Header(), note.Desc[:guestsim.HeaderSize])
			}
			for _, r := range im.Ranges() {
				got := make([]byte, r.Size)
				_, err := im.ReadAt(got, int64(r.Start))
				require.NoError(t, err)
				assert.Equal(t, g.ReadPhys(r.Start, len(got)), got)
			}
		})
	}
}

func segments(list ...physmem.Segment) []guestsim.Segment {
	out := make([]guestsim.Segment, len(list))
	for i, s := range list {
		out[i] = guestsim.Segment{Selector: uint32(s.Selector), Limit: s.Limit, Flags: s.Flags, Base: s.Base}
	}
	return out
}

// TestPagesAgreeWithVtop walks to everything that a guest names.
func TestPagesAgreeWithVtop(t *testing.T) {
	t.Parallel()
	for name, opt := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(opt)
			mode := vtop.X64
			if opt.LA57 {
				mode = vtop.LA57
			}
			s := vtop.NewSpace(g.Memory(), g.DTB, mode)
			addresses := []uint64{guestsim.KernBase, g.KDBG, g.KDBGCopy, g.KiBugcheckData, g.PsLoadedModuleList, guestsim.SharedUserData, g.GDT, g.IDT, g.EProcess}
			for _, p := range g.Processors {
				addresses = append(addresses, p.PCR, p.ContextPtr, p.Context, p.Special, p.Thread, p.Stack)
			}
			for _, va := range addresses {
				m, err := s.Translate(vtop.VA(va))
				require.NoError(t, err)
				assert.Equal(t, vtop.PA(g.PA(va)), m.PA)
			}
			if opt.MapAll {
				for _, r := range g.RAM() {
					m, err := s.Translate(vtop.VA(guestsim.MapAllBase + r.Start))
					require.NoError(t, err)
					assert.Equal(t, vtop.PA(r.Start), m.PA)
					assert.Equal(t, uint64(2<<20), m.PageSize)
				}
			}
			if opt.Shadow {
				shadow := vtop.NewSpace(g.Memory(), g.ShadowDTB, mode)
				_, err := shadow.Translate(guestsim.KernBase)
				require.NoError(t, err)
				_, err = shadow.Translate(vtop.VA(g.KDBG))
				require.ErrorIs(t, err, vtop.ErrNotMapped)
			}

			va := vtop.VA(g.Processors[0].Stack)
			g.Transition(uint64(va))
			m, err := s.Translate(va)
			require.NoError(t, err)
			assert.True(t, m.Transition)
			g.Pagefile(uint64(va))
			_, err = s.Translate(va)
			var fault *vtop.FaultError
			require.ErrorAs(t, err, &fault)
			assert.Equal(t, vtop.Pagefile, fault.Kind)
			g.Unmap(uint64(va))
			_, err = s.Translate(va)
			require.ErrorAs(t, err, &fault)
			assert.Equal(t, vtop.NotPresent, fault.Kind)
		})
	}
}
