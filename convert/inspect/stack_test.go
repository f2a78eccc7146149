package inspect

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/convert/write"
	"windmp/internal/guestsim"
	"windmp/internal/qemutest"
	"windmp/physmem/physmemtest"
)

// crashedSim is a synthetic guest's core.
func crashedSim(opt guestsim.Options) source.Input {
	b := guestsim.New(opt).ELF()
	return source.Reader("core", bytes.NewReader(b), int64(len(b)))
}

// TestStackOptions: which stacks are walked, and what makes no sense.
func TestStackOptions(t *testing.T) {
	t.Parallel()
	crash := guestsim.Options{CPUs: 3, BugCheck: [5]uint64{0xe2, 1, 2, 3, 4}}
	for _, tt := range []struct {
		name   string
		opt    StackOptions
		stacks int
		usage  bool
	}{
		{"what crashed", StackOptions{}, 1, false},
		{"all", StackOptions{All: true}, 3, false},
		{"one processor", StackOptions{CPU: 2, HasCPU: true}, 1, false},
		{"no such processor", StackOptions{CPU: 3, HasCPU: true}, 0, true},
		{"a negative one", StackOptions{CPU: -1, HasCPU: true}, 0, true},
		{"no CONTEXT", StackOptions{Context: guestsim.KernBase}, 0, true},
		{"no trap frame", StackOptions{Trap: guestsim.KernBase}, 0, true},
		{"an address of a process", StackOptions{Context: 0x10000}, 0, true},
		{"two at once", StackOptions{All: true, Trap: 1}, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := Stack(t.Context(), crashedSim(crash), tt.opt)
			var usage *stage.UsageError
			if tt.usage {
				require.ErrorAs(t, err, &usage)
				assert.NotNil(t, r.Error)
			} else {
				require.NoError(t, err)
			}
			assert.Len(t, r.Stacks, tt.stacks)
			for _, s := range r.Stacks {
				assert.NotEmpty(t, s.Frames)
				assert.NotEmpty(t, s.Stop)
			}
		})
	}
}

// TestStackOfLive: a guest that runs has stacks and no signature, and no check has one.
func TestStackOfLive(t *testing.T) {
	t.Parallel()
	r, err := Stack(t.Context(), crashedSim(guestsim.Options{CPUs: 2}), StackOptions{All: true})
	require.NoError(t, err)
	assert.Len(t, r.Stacks, 2)
	assert.Nil(t, r.Signature)
	assert.Equal(t, "vcpu", r.Stacks[0].Start.Source)
	assert.NotEmpty(t, r.Modules)
	c, err := Check(t.Context(), CheckOptions{}, crashedSim(guestsim.Options{}))
	require.NoError(t, err)
	assert.Nil(t, c.Files[0].Signature)
}

// TestOneSignature: stack, info and check of a core, and check of the dump made of it,
// say the same.
func TestOneSignature(t *testing.T) {
	t.Parallel()
	opt := guestsim.Options{CPUs: 2, BugCheck: [5]uint64{0x7e, 1, 2, 3, 4}}
	r, err := Stack(t.Context(), crashedSim(opt), StackOptions{})
	require.NoError(t, err)
	require.NotNil(t, r.Signature)
	i, err := Info(t.Context(), crashedSim(opt), InfoOptions{})
	require.NoError(t, err)
	assert.Equal(t, r.Signature, i.Signature)
	assert.Equal(t, &r.Stacks[0], i.Stack)
	c, err := Check(t.Context(), CheckOptions{}, crashedSim(opt))
	require.NoError(t, err)
	assert.Equal(t, r.Signature, c.Files[0].Signature)
	dump := smallDump(t)
	assert.Equal(t, r.Signature, checkBytes(dump, CheckQuick).Signature)
	assert.Nil(t, checkBytes(dump, CheckHeader).Signature)
}

// TestTriageSignature: the small dump made of a guest has the signature of the guest.
func TestTriageSignature(t *testing.T) {
	t.Parallel()
	for _, s := range qemutest.ImageSamples() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			core := s.Core(t)
			im, err := physmemtest.Open(core)
			require.NoError(t, err)
			g, err := guest.Find(t.Context(), im, guest.Options{})
			require.NoError(t, err)
			p, err := plan.New(t.Context(), g, plan.Options{Type: plan.OutputTriage})
			require.NoError(t, err)
			var dump bytes.Buffer
			require.NoError(t, write.Stream(t.Context(), &dump, write.Output{Layout: p.Layout(), Memory: p.Memory()}, write.Options{}))
			of, err := Stack(t.Context(), source.Reader("core", bytes.NewReader(core), int64(len(core))), StackOptions{})
			require.NoError(t, err)
			small, err := Stack(t.Context(), source.Reader("dump", bytes.NewReader(dump.Bytes()), int64(dump.Len())), StackOptions{})
			require.NoError(t, err)
			assert.Equal(t, of.Signature, small.Signature)
			assert.Equal(t, of.Stacks[0].Frames[0].Place, small.Stacks[0].Frames[0].Place)
			assert.Equal(t, of.Signature, checkBytes(dump.Bytes(), CheckQuick).Signature)
		})
	}
}

// triageFolder names a folder with small dumps that Windows wrote: they are in no
// repository.
const triageFolder = "WINDMP_TRIAGE"

// TestRealTriageDumps: where the crash was and the signature, of real small dumps. Each
// state that a parameter leads to was also had from Microsoft's engine (.trap, .cxr),
// which shows the same instruction and stack pointer.
func TestRealTriageDumps(t *testing.T) {
	t.Parallel()
	folder := os.Getenv(triageFolder)
	if folder == "" {
		t.Skipf("DID NOT RUN: %s names no folder with small dumps of Windows", triageFolder)
	}
	for _, tt := range []struct{ name, start, signature, chosen string }{
		{"DAIMUVG+Minidumps-102622-12000-01", "processor", "0x101!nt+0x406e00", "kernel"},
		{"DAIMUVG+Minidumps-102622-15671-01", "trap-frame", "0x50!ntfs+0xfb873", "instruction"},
		{"DAIMUVG+Minidumps-102622-17265-01", "saved", "0x1e_c000001d!nt+0x217980", "kernel"},
		{"DAIMUVG+Minidumps-102622-30093-01", "stack", "0x1e_c0000005!nt+0x40c222", "kernel"},
		{"r-Techsupport+training_bsods-116_0", "saved", "0x116!nvlddmkm+0x1700a40", "parameter"},
		{"r-Techsupport+training_bsods-116_1", "saved", "0x116!nvlddmkm+0x1700a40", "parameter"},
		{"r-Techsupport+training_bsods-1a", "saved", "0x1a!nt+0x28ee36", "kernel"},
		{"r-Techsupport+training_bsods-1e", "saved", "0x1e_80000003!dxgmms2+0x2e68", "instruction"},
		{"r-Techsupport+training_bsods-3b_0", "context", "0x3b_c0000005!win32kfull+0x10f183", "kernel"},
		{"r-Techsupport+training_bsods-50_0", "trap-frame", "0x50!nt+0x290b9f", "kernel"},
		{"r-Techsupport+training_bsods-50_1", "trap-frame", "0x50!nt+0x860702", "kernel"},
		{"r-Techsupport+training_bsods-7a", "saved", "0x7a!nt+0x2a327e", "kernel"},
		{"r-Techsupport+training_bsods-7e_0", "context", "0x7e_c0000005!nvlddmkm+0x33e3a8", "instruction"},
		{"r-Techsupport+training_bsods-7e_1", "context", "0x7e_c000001d!nvlddmkm+0x12634e", "instruction"},
		{"r-Techsupport+training_bsods-7e_2", "context", "0x7e_c000001d!nvlddmkm+0x12634e", "instruction"},
		{"r-Techsupport+training_bsods-be_0", "trap-frame", "0xbe!nt+0x2e8eac", "kernel"},
		{"r-Techsupport+training_bsods-d1", "stack", "0xd1!ks+0x1ae9", "instruction"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := Stack(t.Context(), source.File(filepath.Join(folder, tt.name+".dmp")), StackOptions{})
			require.NoError(t, err)
			require.Len(t, r.Stacks, 1)
			require.NotNil(t, r.Signature)
			assert.Equal(t, tt.start, r.Stacks[0].Start.Source)
			assert.Equal(t, tt.signature, r.Signature.Text)
			assert.Equal(t, tt.chosen, r.Signature.Chosen)
		})
	}
}
