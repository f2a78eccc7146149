package convert_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/stage"
	"windmp/internal/coretest"
	"windmp/internal/guestsim"
	"windmp/physmem"
	"windmp/physmem/open"
	"windmp/physmem/physmemtest"
	"windmp/winhdr/wincontext"
)

// imageOf opens a vmcore that is in memory.
func imageOf(t *testing.T, core []byte) *physmem.Image {
	t.Helper()
	m, err := physmemtest.Open(core)
	require.NoError(t, err)
	return m
}

// TestVirtualBoxSource: the dump of a guest in a VirtualBox core is the dump of
// the same guest in QEMU's, but for the registers that only VirtualBox records.
func TestVirtualBoxSource(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		opt    guestsim.Options
		format uint32
	}{
		{"plain", guestsim.Options{CPUs: 2}, 0x10006},
		{"encoded", guestsim.Options{CPUs: 2, Encoded: true, Odd: true}, 0x10005},
		{"shadow, in user mode", guestsim.Options{CPUs: 2, Shadow: true, UserMode: []int{0, 1}}, 0x10006},
		{"5 levels", guestsim.Options{CPUs: 1, LA57: true}, 0x10004},
		{"crashed", guestsim.Options{CPUs: 3, BugCheck: crash}, 0x10006},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			g := guestsim.New(tc.opt)
			g.Options.File.NoGuestNote = true
			core := g.ELF()
			qemu := imageOf(t, core)
			cpus := coretest.WithAll(qemu.CPUs())
			box := coretest.VirtualBox(t, qemu, cpus, tc.format)

			opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}}
			want, with, err := convertBytes(t, core, opt)
			require.NoError(t, err)
			got, r, err := convertBytes(t, box, opt)
			require.NoError(t, err)
			assert.Contains(t, r.Input.Description, "VirtualBox core (format 1.")
			list := slices.Concat(shape64.improved, editedPlaces(t, got, r), editedPlaces(t, want, with))
			equalButFor(t, want, got, append(list, allowed{"Comment, which names the source", 0xfb0, 128}))
			assert.NotNil(t, findingOf(with, finding.RegistersLacking.ID()))
			assert.Nil(t, findingOf(r, finding.RegistersLacking.ID()))
			for i := range g.Processors {
				checkAllRegisters(t, got, g, i, physmem.X86Of(cpus[i]))
				assertQEMUPart(t, contextAt(t, want, g, i), contextAt(t, got, g, i))
			}
			shown, err := wincontext.DecodeContext64(got[0x348:][:wincontext.ContextSize64])
			require.NoError(t, err)
			assert.Equal(t, shown.MxCsr, shown.FltSave.MxCsr)
		})
	}
}

// checkAllRegisters holds CONTEXT and special registers of the dump, read by
// hand, against what the core was given.
func checkAllRegisters(t *testing.T, dmp []byte, g *guestsim.Guest, i int, c *physmem.X86) {
	t.Helper()
	ctx := at(t, dmp, g, g.Processors[i].Context, 0x4d0)
	dr := []uint64{c.Debug.Dr0, c.Debug.Dr1, c.Debug.Dr2, c.Debug.Dr3, c.Debug.Dr6, c.Debug.Dr7}
	for k, v := range dr {
		assert.Equal(t, v, u64(ctx, 0x48+8*k), "Dr %d", k)
	}
	assert.Equal(t, uint32(0x10001f), u32(ctx, 0x30))
	assert.Equal(t, uint32(0x1fa0), u32(ctx, 0x34), "MxCsr")
	assert.Equal(t, c.FX[:416], ctx[0x100:0x100+416], "FltSave")
	assert.Equal(t, make([]byte, 96), ctx[0x100+416:0x300])

	sr := at(t, dmp, g, g.Processors[i].Special, 0xd8)
	for k, v := range append([]uint64{c.CR0, c.CR2, c.CR3, c.CR4}, dr...) {
		assert.Equal(t, v, u64(sr, 8*k), "special register at %#x", 8*k)
	}
	assert.Equal(t, uint32(0x1fa0), u32(sr, 0x74))
	assert.Equal(t, g.Read64(g.Processors[i].Special+0xa0), u64(sr, 0xa0), "Cr8 is kept")
	for k, v := range []uint64{c.GS.Base, c.KernelGSBase, c.MSR.STAR, c.MSR.LSTAR, c.MSR.CSTAR, c.MSR.SFMASK} {
		assert.Equal(t, v, u64(sr, 0xa8+8*k), "special register at %#x", 0xa8+8*k)
	}
}

// assertQEMUPart compares the registers that QEMU's notes carry too.
func assertQEMUPart(t *testing.T, want, got *wincontext.Context64) {
	t.Helper()
	w, g := *want, *got
	for _, c := range []*wincontext.Context64{&w, &g} {
		c.Dr0, c.Dr1, c.Dr2, c.Dr3, c.Dr6, c.Dr7 = 0, 0, 0, 0, 0, 0
		c.MxCsr, c.FltSave = 0, wincontext.XSaveFormat{}
	}
	assert.Equal(t, w, g)
}

// TestPartOfTheRegisters: what lacks is named, no more.
func TestPartOfTheRegisters(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		edit func(c *physmem.X86)
		want string
	}{
		{"no x87 and SSE state", func(c *physmem.X86) { c.FX = nil }, "no x87, SSE or MXCSR registers: of 1 processor they show the values after reset"},
	} {
		g := guestsim.New(guestsim.Options{CPUs: 2})
		qemu := imageOf(t, g.ELF())
		cpus := coretest.WithAll(qemu.CPUs())
		tc.edit(physmem.X86Of(cpus[1]))
		dmp, r, err := convertBytes(t, coretest.VirtualBox(t, qemu, cpus, 0x10006), convert.Options{})
		require.NoError(t, err)
		require.NotNil(t, findingOf(r, finding.RegistersLacking.ID()))
		assert.Contains(t, findingOf(r, finding.RegistersLacking.ID()).Message, tc.want)
		assert.Equal(t, uint32(0x1fa0), contextAt(t, dmp, g, 0).MxCsr)
		assert.Equal(t, uint32(0x1f80), contextAt(t, dmp, g, 1).MxCsr)
		assert.Equal(t, physmem.X86Of(cpus[1]).Debug.Dr0, contextAt(t, dmp, g, 1).Dr0)
	}
}

// TestGDBScriptSource: without processors the guest is found in memory, or by
// its own note; the pages are those of QEMU's core.
func TestGDBScriptSource(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2, Encoded: true, BugCheck: crash})
	core := g.ELF()
	qemu := imageOf(t, core)
	opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsSaved}}
	want, with, err := convertBytes(t, core, opt)
	require.NoError(t, err)
	for name, file := range map[string][]byte{
		"with the note":  coretest.GDBScript(t, qemu, qemu.GuestNote().Desc),
		"without":        coretest.GDBScript(t, qemu, nil),
		"the old script": coretest.GDBScriptOld(t, qemu),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, r, err := convertBytes(t, file, opt)
			require.NoError(t, err)
			assert.Contains(t, r.Input.Description, "QEMU's gdb script")
			assert.NotNil(t, findingOf(r, finding.NoVCPUState.ID()))
			list := slices.Concat(editedPlaces(t, got, r), editedPlaces(t, want, with))
			if name != "with the note" {
				assert.NotNil(t, findingOf(r, finding.GuestFound.ID()))
				list = append(list, builtFields...)
				list = append(list, allowed{"KdDebuggerDataBlock", 0x80, 8})
			}
			equalButFor(t, want, got, list)
		})
	}
}

// TestRawSource: memory alone, with holes given.
func TestRawSource(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2, Encoded: true, BugCheck: crash})
	core := g.ELF()
	qemu := imageOf(t, core)
	opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsSaved}}
	want, with, err := convertBytes(t, core, opt)
	require.NoError(t, err)
	file, holes := coretest.Raw(t, qemu)

	_, _, err = convertBytes(t, file, opt)
	require.ErrorIs(t, err, physmem.ErrUnknownFormat, "raw memory is not guessed")

	opt.Source.Input = open.Options{Format: physmem.FormatRaw, Holes: holes}
	got, r, err := convertBytes(t, file, opt)
	require.NoError(t, err)
	assert.Equal(t, "raw", r.Input.Format)
	list := slices.Concat(builtFields, editedPlaces(t, got, r), editedPlaces(t, want, with))
	list = append(list, allowed{"KdDebuggerDataBlock", 0x80, 8})
	equalButFor(t, want, got, list)
	assert.NotNil(t, findingOf(r, finding.GuestFound.ID()))

	opt.Source.Input.Format = "vmem"
	_, _, err = convertBytes(t, file, opt)
	var usage *stage.UsageError
	require.ErrorAs(t, err, &usage)
}

// TestSampleSources: the guests that real QEMU dumped, in the containers of
// other programs and without the header note, give the pages and, but for what
// nobody has without the note, the header of QEMU's core.
func TestSampleSources(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"guest-bsod.vmcore", "live-2cpu.vmcore.gz", "bsod-4cpu-q35.vmcore.gz", "encoded-2cpu.vmcore.gz",
		"shadow-user-2cpu.vmcore.gz", "swapcpu-3cpu.vmcore.gz", "la57-1cpu.vmcore.gz",
	} {
		t.Run(s, func(t *testing.T) {
			t.Parallel()
			core := gunzip(t, samplePath(s))
			qemu := imageOf(t, core)
			raw, holes := coretest.Raw(t, qemu)
			want, with, err := convertBytes(t, core, convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}})
			require.NoError(t, err)
			for name, file := range map[string][]byte{
				"VirtualBox": coretest.VirtualBox(t, qemu, coretest.WithAll(qemu.CPUs()), 0x10006),
				"gdb script": coretest.GDBScript(t, qemu, nil),
				"raw":        raw,
			} {
				opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}}
				if name == "raw" {
					opt.Source.Input = open.Options{Format: physmem.FormatRaw, Holes: holes}
				}
				got, r, err := convertBytes(t, file, opt)
				require.NoError(t, err, name)
				list := slices.Concat(shape64.improved, builtFields, editedPlaces(t, got, r), editedPlaces(t, want, with))
				if with.Guest.KDBGSource == report.KDBGCopy { // the driver's, to which the note leads
					list = append(list, allowed{"KdDebuggerDataBlock", 0x80, 8})
				}
				equalButFor(t, want, got, list)
			}
		})
	}
}
