package convert_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
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

// hypervVariants are the ways in which Hyper-V may save a guest.
var hypervVariants = map[string]coretest.HyperV{
	"plain":      {},
	"compressed": {Pack: true},
	"with VBS":   {Pack: true, VBS: true, OSID: 0x0001_040a_0000_4a61, Applied: 2},
}

// TestHyperVSamples: the guests that real QEMU dumped, in saved states of Hyper-V, give
// byte for byte the dump of QEMU's core without the guest's note, registers included;
// and with all registers that of a core of VirtualBox, which carries the same.
func TestHyperVSamples(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"guest-bsod.vmcore", "live-2cpu.vmcore.gz", "bsod-4cpu-q35.vmcore.gz", "encoded-2cpu.vmcore.gz", "shadow-user-2cpu.vmcore.gz",
		"swapcpu-3cpu.vmcore.gz", "la57-1cpu.vmcore.gz", "odd-runs-2cpu.vmcore.gz", "x86-bsod-2cpu.vmcore.gz", "x86-nopae-live-2cpu.vmcore.gz",
	} {
		t.Run(s, func(t *testing.T) {
			t.Parallel()
			core := withoutHostNote(t, gunzip(t, s))
			im := imageOf(t, core)
			all := coretest.WithAll(im.CPUs())
			is32 := physmem.X86Of(im.CPUs()[0]).Is32
			comment := []allowed{{"Comment, which names the source", commentAt(is32), 128}}
			var opt convert.Options
			asELF, elf, err := convertBytes(t, core, opt)
			require.NoError(t, err)
			var asVBox []byte
			var vbox *report.Report
			if !is32 { // the registers that are made up are those of 64-bit mode
				asVBox, vbox, err = convertBytes(t, coretest.VirtualBox(t, im, all, 0x10006), opt)
				require.NoError(t, err)
			}
			for name, how := range hypervVariants {
				if testing.Short() && name != "compressed" && s != "live-2cpu.vmcore.gz" {
					continue
				}
				how.NoMSRs = true
				memory := how.Memory(t, im)
				got, r, err := convertBytes(t, how.WriteWith(t, memory, im.CPUs()), opt)
				require.NoError(t, err, name)
				assert.Equal(t, "hyper-v", r.Input.Format)
				assert.Contains(t, r.Input.Description, "Hyper-V saved state (Normal) of VM version 10.0")
				equalButFor(t, asELF, got, comment)
				assert.Equal(t, worse(elf), worse(r), name)
				assert.NotNil(t, findingOf(r, finding.FormatUntried.ID()))

				if is32 {
					continue
				}
				how.NoMSRs = false
				got, r, err = convertBytes(t, how.WriteWith(t, memory, all), opt)
				require.NoError(t, err, name)
				equalButFor(t, asVBox, got, comment)
				assert.Equal(t, worse(vbox), worse(r), name)
			}
		})
	}
}

// TestHyperVAsELF: the dump of a saved state is that of QEMU's core of the same guest,
// but for the registers that only Hyper-V records.
func TestHyperVAsELF(t *testing.T) {
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
			g := guestsim.New(o)
			g.Options.File.NoGuestNote = true
			core := g.ELF()
			qemu := imageOf(t, core)
			opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}}
			want, with, err := convertBytes(t, core, opt)
			require.NoError(t, err)
			comment := allowed{"Comment, which names the source", 0xfb0, 128}
			cpus := coretest.WithAll(qemu.CPUs())
			for name, how := range hypervVariants {
				got, r, err := convertBytes(t, how.Write(t, qemu, cpus), opt)
				require.NoError(t, err, name)
				list := slices.Concat(shape64.improved, editedPlaces(t, got, r), editedPlaces(t, want, with))
				equalButFor(t, want, got, append(list, comment))
				assert.Nil(t, findingOf(r, finding.RegistersLacking.ID()))
				for i := range g.Processors {
					checkAllRegisters(t, got, g, i, physmem.X86Of(cpus[i]))
					assertQEMUPart(t, contextAt(t, want, g, i), contextAt(t, got, g, i))
				}
			}
		})
	}
}

// TestHyperVRoad: all commands take a saved state.
func TestHyperVRoad(t *testing.T) {
	t.Parallel()
	g := guestsim.New(guestsim.Options{CPUs: 2})
	im := imageOf(t, g.ELF())
	path := filepath.Join(t.TempDir(), "guest.vmrs")
	file := coretest.HyperV{Pack: true, VBS: true, OSID: 0x0001_040a_0000_4a61}.Write(t, im, coretest.WithAll(im.CPUs()))
	require.NoError(t, os.WriteFile(path, file, 0o400))
	checkRoad(t, path)

	// Damage in a compressed block is a missing page like any other.
	c := checkOf(t, path, inspect.CheckOptions{Level: inspect.CheckFull})
	assert.Equal(t, "OK", c.Verdict)
}

// checkRoad runs info, check, symbols and vtop on a file.
func checkRoad(t *testing.T, path string) {
	t.Helper()
	ctx := context.Background()
	info, err := inspect.Info(ctx, source.File(path), inspect.InfoOptions{})
	require.NoError(t, err)
	assert.Equal(t, "hyper-v", info.Input.Format)
	require.NotNil(t, info.System)
	for _, cpu := range info.CPUs {
		assert.Equal(t, report.FromVCPU, cpu.Source)
	}
	c := checkOf(t, path, inspect.CheckOptions{})
	assert.NotEqual(t, "FAIL", c.Verdict)
	assert.Empty(t, worseThanInfo(c))
}

// hypervSample is a file of a real producer, which is not in the repository.
const hypervSample = "hyperv-openvmm-writer.vmrs.gz"

// TestHyperVOpenVMM: the file that Microsoft's own writer made of the test guest
// becomes a dump.
func TestHyperVOpenVMM(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "guest.vmrs")
	require.NoError(t, os.WriteFile(path, coretest.Sample(t, hypervSample), 0o600))
	checkRoad(t, path)
	r, err := convert.File(context.Background(), path, path+".dmp", convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, "OK", r.Verdict)
	assert.Empty(t, worseThanInfo(checkOf(t, path+".dmp", inspect.CheckOptions{Level: inspect.CheckFull})))
}
