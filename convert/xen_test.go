package convert_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/inspect"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/coretest"
	"windmp/internal/guestsim"
	"windmp/physmem"
)

// xenForms are the files that Xen's tools write of a guest.
func xenForms(t *testing.T, m *physmem.Image, cpus []physmem.CPU) map[string][]byte {
	t.Helper()
	x := coretest.NewXen(t, m, cpus)
	forms := map[string][]byte{"xl save": x.Save(), "XenServer": x.Xenops(), "xl dump-core": x.Core()}
	if !testing.Short() {
		forms["libxl"], forms["libxc"], forms["libvirt"] = x.Libxl(), x.Libxc(), x.Libvirt()
		slices.Reverse(x.Pages)
		forms["xl dump-core, pages in reverse"] = x.Core()
	}
	return forms
}

// isXenCore reports whether a form has no descriptor tables and no MSRs.
func isXenCore(form string) bool { return strings.HasPrefix(form, "xl dump-core") }

// reset are processors with the values that windmp shows where a source does not carry
// debug, x87 and SSE registers.
func reset(cpus []physmem.CPU) []physmem.CPU {
	out := slices.Clone(cpus)
	for i := range out {
		x := *physmem.X86Of(out[i])
		x.Debug = &physmem.DebugRegs{Dr6: 0xffff0ff0, Dr7: 0x400}
		x.MSR = &physmem.MSRs{}
		if !x.Is32 { // a CONTEXT of x86 says whether it has x87 and SSE state, one of x64 always has
			x.MSR.EFER = 0xd01
			x.FX = make([]byte, physmem.FXSize)
			binary.LittleEndian.PutUint32(x.FX[24:], 0x1f80)
		}
		out[i].Registers = &x
	}
	return out
}

// placesOf are where a report's edits lie in its dump whose reasons have one of these words.
func placesOf(t *testing.T, dmp []byte, r *report.Report, words ...string) []allowed {
	t.Helper()
	var list []allowed
	for _, a := range editedPlaces(t, dmp, r) {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(a.name, w) }) {
			list = append(list, a)
		}
	}
	return list
}

// TestXenSource: the dump of a guest in a file of Xen's tools is, in every byte, that of
// the same guest in QEMU's core without the guest's note, but for the special registers
// that only one of the two carries.
func TestXenSource(t *testing.T) {
	t.Parallel()
	names := []string{
		"guest-bsod.vmcore", "encoded-2cpu.vmcore.gz", "la57-1cpu.vmcore.gz", "odd-runs-2cpu.vmcore.gz", "x86-nopae-2cpu.vmcore.gz",
		"live-2cpu.vmcore.gz", "bsod-4cpu-q35.vmcore.gz", "shadow-user-2cpu.vmcore.gz", "swapcpu-3cpu.vmcore.gz",
		"x86-bsod-2cpu.vmcore.gz", "x86-nopae-live-2cpu.vmcore.gz",
	}
	if testing.Short() {
		names = names[:5]
	}
	for _, s := range names {
		t.Run(s, func(t *testing.T) {
			t.Parallel()
			core := withoutHostNote(t, gunzip(t, s))
			opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}}
			want, with, err := convertBytes(t, core, opt)
			require.NoError(t, err)
			m := imageOf(t, core)
			is32 := physmem.X86Of(m.CPUs()[0]).Is32
			for form, file := range xenForms(t, m, reset(m.CPUs())) {
				got, r, err := convertBytes(t, file, opt)
				require.NoError(t, err, form)
				assert.Equal(t, "xen", r.Input.Format, form)
				list := []allowed{{"Comment, which names the source", commentAt(is32), 128}}
				list = append(list, placesOf(t, got, r, "DR0 to DR3", "MXCSR", "GS bases")...)
				if isXenCore(form) {
					list = append(list, placesOf(t, want, with, "GDTR", "IDTR", "TR")...)
					assert.Empty(t, placesOf(t, got, r, "GDTR", "IDTR", ": TR", "GS bases"), form)
				}
				equalButFor(t, want, got, list)
				for i := range r.Processors {
					assert.Equal(t, with.Processors[i].VCPU, r.Processors[i].VCPU, form)
					assert.Equal(t, with.Processors[i].IP, r.Processors[i].IP, form)
				}
			}
		})
	}
}

// TestXenRegisters: registers that QEMU's core lacks are those of a VirtualBox core with the
// same values: from a saved state all, from a core those that it has.
func TestXenRegisters(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]guestsim.Options{
		"plain":                {CPUs: 2},
		"encoded":              {CPUs: 2, Encoded: true, Odd: true},
		"shadow, in user mode": {CPUs: 2, Shadow: true, UserMode: []int{0, 1}},
		"5 levels":             {CPUs: 1, LA57: true},
		"crashed":              {CPUs: 3, BugCheck: crash},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.File.NoGuestNote = true
			g := guestsim.New(o)
			qemu := imageOf(t, g.ELF())
			cpus := coretest.WithAll(qemu.CPUs())
			opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}}
			want, with, err := convertBytes(t, coretest.VirtualBox(t, qemu, cpus, 0x10006), opt)
			require.NoError(t, err)
			for form, file := range xenForms(t, qemu, cpus) {
				got, r, err := convertBytes(t, file, opt)
				require.NoError(t, err, form)
				list := []allowed{{"Comment, which names the source", 0xfb0, 128}}
				if isXenCore(form) {
					list = append(list, placesOf(t, want, with, "GDTR", "IDTR", "TR", "GS bases")...)
				}
				equalButFor(t, want, got, list)
				assert.Nil(t, findingOf(r, finding.RegistersLacking.ID()), form)
				if form == "XenServer" || form == "libvirt" {
					assert.NotNil(t, findingOf(r, finding.FormatUntried.ID()), "no such file was tried")
				} else {
					assert.Nil(t, findingOf(r, finding.FormatUntried.ID()), form)
				}
			}
		})
	}
}

// TestXenLook: what looks at a file finds in Xen's what it finds in QEMU's.
func TestXenLook(t *testing.T) {
	t.Parallel()
	core := withoutHostNote(t, gunzip(t, "live-2cpu.vmcore.gz"))
	folder := t.TempDir()
	put := func(name string, b []byte) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, b, 0o400))
		return path
	}
	elf := put("elf", core)
	m := imageOf(t, core)
	ctx := t.Context()
	symbols, err := inspect.Symbols(ctx, source.File(elf), inspect.SymbolsOptions{})
	require.NoError(t, err)
	info, err := inspect.Info(ctx, source.File(elf), inspect.InfoOptions{})
	require.NoError(t, err)
	vas := []uint64{uint64(info.CPUs[0].IP), uint64(info.CPUs[1].IP)}
	walk := func(path string) []inspect.AddressWalk {
		w, err := inspect.Walk(ctx, source.File(path), vas, inspect.WalkOptions{Read: 64})
		require.NoError(t, err, path)
		for i := range w.Walks {
			require.Positive(t, w.Walks[i].FileOffset)
			w.Walks[i].FileOffset = 0 // each file has it elsewhere
		}
		return w.Walks
	}
	walked := walk(elf)
	for form, file := range xenForms(t, m, reset(m.CPUs())) {
		path := put(form, file)
		s, err := inspect.Symbols(ctx, source.File(path), inspect.SymbolsOptions{})
		require.NoError(t, err, form)
		assert.Equal(t, symbols.Modules, s.Modules, form)
		i, err := inspect.Info(ctx, source.File(path), inspect.InfoOptions{})
		require.NoError(t, err, form)
		assert.Equal(t, info.Kernel, i.Kernel, form)
		assert.Equal(t, walked, walk(path), form)
		assert.Equal(t, "OK", checkOf(t, path, inspect.CheckOptions{}).Verdict, form)
	}
}

// TestXenVCPUElsewhere: a core does not say in which segment a vCPU in real mode was, and
// nothing of its registers is taken for Windows'.
func TestXenVCPUElsewhere(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2, File: guestsim.FileOptions{NoGuestNote: true}})
	qemu := imageOf(t, g.ELF())
	cpus := reset(qemu.CPUs())
	x := *physmem.X86Of(cpus[1])
	x.CR0, x.CR3, x.Rip, x.CS = 0x10, 0, 0xfff0, physmem.Segment{Selector: 0xf000, Base: 0xffff0000, Flags: 0x9b00}
	x.GS, x.KernelGSBase = physmem.Segment{}, 0
	cpus[1].Registers = &x
	for form, file := range xenForms(t, qemu, cpus) {
		got, r, err := convertBytes(t, file, convert.Options{})
		require.NoError(t, err, form)
		f := findingOf(r, finding.VCPUForeign.ID())
		require.NotNil(t, f, form)
		if isXenCore(form) {
			assert.Contains(t, f.Message, "vCPU 1 was in real mode or system management mode (SMM)")
		} else {
			assert.Contains(t, f.Message, "vCPU 1 was at the reset vector")
		}
		assert.Equal(t, report.FromForeign, r.Processors[1].Contexts, form)
		kept := g.Processors[1].Context
		saved := at(t, got, g, kept, 0x4d0)
		for off := uint64(0); off < 0x4d0; off += 8 {
			require.Equal(t, g.Read64(kept+off), u64(saved, int(off)), "%s, CONTEXT at %#x", form, off)
		}
	}
}
