package convert_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/qemutest"
	"windmp/physmem"
	"windmp/winhdr"
)

// dumps are what one stopped machine was dumped to.
type dumps struct {
	elf, paging string // vmcores, paging off and on
	filtered    string // from byte 0x123 on: partial pages at both ends
	kdump       string
	stream      string // of a migration
	win         []byte // QEMU's win-dmp; nil when it refused
	winErr      error
}

// dumpKind is a way to dump a machine that few tests ask for.
type dumpKind func(vm *qemutest.VM, dir string, d *dumps) error

func filtered(vm *qemutest.VM, dir string, d *dumps) error {
	d.filtered = filepath.Join(dir, "filtered.vmcore")
	return vm.DumpELF(d.filtered, qemutest.ELFOptions{Begin: 0x123, Length: 0x140000456})
}

func kdumped(vm *qemutest.VM, dir string, d *dumps) error {
	d.kdump = filepath.Join(dir, "kdump")
	return vm.DumpKdump(d.kdump)
}

func migrated(vm *qemutest.VM, dir string, d *dumps) error {
	d.stream = filepath.Join(dir, "stream")
	return vm.Migrate(d.stream, qemutest.MigrateOptions{})
}

// dumpMachine boots a guest and dumps it: as vmcores, in what other ways are asked for, and
// at last by QEMU's win-dmp, which may leave the guest's memory changed.
func dumpMachine(t *testing.T, c qemutest.Config, kinds ...dumpKind) dumps {
	t.Helper()
	vm := qemutest.Start(t, c)
	dir := t.TempDir()
	d := dumps{elf: filepath.Join(dir, "off.vmcore"), paging: filepath.Join(dir, "on.vmcore")}
	require.NoError(t, vm.DumpELF(d.elf, qemutest.ELFOptions{}))
	require.NoError(t, vm.DumpELF(d.paging, qemutest.ELFOptions{Paging: true}))
	for _, dump := range kinds {
		require.NoError(t, dump(vm, dir, &d))
	}
	win := filepath.Join(dir, "win.dmp")
	if d.winErr = vm.DumpWin(win); d.winErr == nil {
		var err error
		d.win, err = os.ReadFile(win)
		require.NoError(t, err)
	}
	return d
}

// qemuMachine is a row of the witness: what QEMU makes of it, windmp must make too.
type qemuMachine struct {
	name   string
	config qemutest.Config
}

func machines() []qemuMachine {
	var list []qemuMachine
	add := func(name string, c qemutest.Config) { list = append(list, qemuMachine{name, c}) }
	for _, variant := range []string{"bsod", "live", "encoded", "shadow", "pcid", "odd", "swbits", "mapall", "noselfmap", "swapcpu", "user"} {
		// QEMU takes software bits for parts of addresses, and with paging it leaves out the
		// pages that these lead away from: with the quick firmware that is KDBG's.
		add(variant, qemutest.Config{CPUs: 2, Variant: []string{variant}, SeaBIOS: variant == "swbits"})
	}
	add("bsod encoded odd swbits", qemutest.Config{CPUs: 3, Variant: []string{"bsod", "encoded", "odd", "swbits"}})
	add("one cpu", qemutest.Config{CPUs: 1, Variant: []string{"live"}})
	add("four cpus", qemutest.Config{CPUs: 4, Variant: []string{"live"}})
	add("vga", qemutest.Config{CPUs: 2, VGA: true, Variant: []string{"live", "swbits"}})
	add("q35", qemutest.Config{Machine: "q35", CPUs: 2, Variant: []string{"bsod"}})
	add("q35 vga", qemutest.Config{Machine: "q35", CPUs: 2, VGA: true, Variant: []string{"live"}})
	add("pc above 4 GiB", qemutest.Config{CPUs: 2, Memory: "8M", MaxRAMBelow4G: "4M", Variant: []string{"live"}})
	add("q35 vga above 4 GiB", qemutest.Config{Machine: "q35", VGA: true, CPUs: 2, Memory: "8M", MaxRAMBelow4G: "4M", Variant: []string{"bsod", "swbits"}})
	add("la57", qemutest.Config{CPUs: 2, CPUModel: "max", Variant: []string{"live", "la57"}})
	return list
}

// TestQEMU converts what real QEMU makes of a machine, and compares with the win-dmp that
// QEMU made of the same stopped machine: vmcores with paging off, on and filtered, these
// without notes, and a migration stream.
func TestQEMU(t *testing.T) {
	qemutest.Require(t)
	for _, m := range machines() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			d := dumpMachine(t, m.config, filtered, migrated)
			require.NoError(t, d.winErr)
			variant := strings.Join(m.config.Variant, " ")
			t.Run("vmcores", func(t *testing.T) {
				for _, core := range []string{d.elf, d.paging, d.filtered} {
					witness(t, source.File(core), d.win, variant)
				}
			})
			t.Run("without note", func(t *testing.T) { d.withoutNote(t, variant) })
			t.Run("stream", func(t *testing.T) { d.streamed(t, variant) })
		})
	}
}

// outcome is what windmp makes of a guest that QEMU fails on, or gets wrong.
type outcome struct {
	variant string
	// qemu is a part of QEMU's own answer, empty when it writes a dump.
	qemu string
	// refused is the finding that refuses the guest; empty when a dump is made.
	refused string
	// findings must be in the report of a dump that is made.
	findings []string
	check    func(t *testing.T, r *report.Report)
}

func processors(n uint32) func(t *testing.T, r *report.Report) {
	return func(t *testing.T, r *report.Report) {
		t.Helper()
		assert.Equal(t, n, r.Guest.NumberProcessors)
	}
}

func kdbgFrom(s report.KDBGSource) func(t *testing.T, r *report.Report) {
	return func(t *testing.T, r *report.Report) {
		t.Helper()
		assert.Equal(t, s, r.Guest.KDBGSource)
	}
}

// outcomes is the table of the guests that QEMU's win-dmp fails on, with what
// windmp does better.
var outcomes = []outcome{
	{variant: "badsig", qemu: "invalid header, expected 'PAGE'", findings: []string{finding.HeaderRepaired.ID()}},
	{variant: "badvalid", qemu: "invalid header, expected 'DUMP' or 'DU64'", findings: []string{finding.HeaderRepaired.ID()}},
	{variant: "unmapped", qemu: "failed to read OwnerTag", findings: []string{finding.KDBGCopy.ID()}, check: kdbgFrom(report.KDBGCopy)},
	{variant: "noncanon", qemu: "failed to read OwnerTag", findings: []string{finding.KDBGCopy.ID()}, check: kdbgFrom(report.KDBGCopy)},
	{variant: "encoded nocopy", qemu: "failed to read OwnerTag", findings: []string{finding.KDBGDecoded.ID()}, check: kdbgFrom(report.KDBGDecoded)},
	{variant: "encoded badcopy", qemu: "invalid KDBG OwnerTag", findings: []string{finding.KDBGDecoded.ID()}, check: kdbgFrom(report.KDBGDecoded)},
	{variant: "baddtb", qemu: "failed to read OwnerTag", findings: []string{finding.DTBReplaced.ID()}},
	{variant: "kdbgcut", qemu: "failed to read KiProcessorBlock", findings: []string{finding.KDBGCopy.ID()}},
	{variant: "noprocblk", qemu: "failed to read CPU #0 PRCB location", refused: finding.NoProcessors.ID()},
	{variant: "noprcb", qemu: "failed to read CPU #1 ContextFrame location", findings: []string{finding.ProcessorsFewer.ID()}, check: processors(1)},
	{variant: "noctx", qemu: "failed to save CPU #1 context", findings: []string{finding.ProcessorsFewer.ID()}, check: processors(1)},
	{variant: "nobug", findings: []string{finding.BugCheckUnread.ID()}, check: func(t *testing.T, r *report.Report) {
		t.Helper()
		assert.Nil(t, r.Guest.BugCheck)
	}},
	{variant: "ncpu=1", findings: []string{finding.ProcessorsFewer.ID()}, check: processors(2)},
	{variant: "ncpu=3", findings: []string{finding.ProcessorsFewer.ID()}, check: processors(2)},
	{variant: "nonote", qemu: "invalid vmcoreinfo note size", findings: []string{finding.NoHeader.ID(), finding.HeaderBuilt.ID()}},
	{variant: "descsz=0x1ff0", qemu: "invalid vmcoreinfo note size", findings: []string{finding.NoteSize.ID()}},
	{variant: "descsz=0x2004", qemu: "invalid vmcoreinfo note size", findings: []string{finding.NoteSize.ID()}},
	{variant: "size=8", qemu: "invalid vmcoreinfo note size", findings: []string{finding.NoHeader.ID(), finding.HeaderBuilt.ID()}},
	{variant: "badrun", findings: []string{finding.RunsReplaced.ID()}},
}

// TestQEMUFailures asserts windmp's outcome where QEMU writes nothing, or
// worse. (QEMU dies of size=0x1000, so that variant can't be dumped as well.)
func TestQEMUFailures(t *testing.T) {
	qemutest.Require(t)
	for _, o := range outcomes {
		t.Run(o.variant, func(t *testing.T) {
			t.Parallel()
			d := dumpMachine(t, qemutest.Config{CPUs: 2, Variant: strings.Fields(o.variant)})
			if o.qemu == "" {
				require.NoError(t, d.winErr)
			} else {
				require.ErrorContains(t, d.winErr, o.qemu)
			}
			for _, core := range []string{d.elf, d.paging} {
				o.assert(t, core)
			}
		})
	}
}

func (o outcome) assert(t *testing.T, core string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.dmp")
	r, err := convert.File(context.Background(), core, out, convert.Options{})
	if o.refused != "" {
		var refused *finding.RefusedError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, o.refused, refused.Finding.ID)
		assert.NoFileExists(t, out)
		return
	}
	require.NoError(t, err)
	assert.FileExists(t, out)
	ids := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		ids = append(ids, f.ID)
	}
	for _, id := range o.findings {
		assert.Contains(t, ids, id)
	}
	if o.check != nil {
		o.check(t, r)
	}
}

// TestQEMUBadRun: QEMU writes a run that is no RAM as zeros; the kernel's own table
// has no such run, and so ours has not.
func TestQEMUBadRun(t *testing.T) {
	qemutest.Require(t)
	t.Parallel()
	d := dumpMachine(t, qemutest.Config{CPUs: 2, Variant: []string{"badrun"}})
	require.NoError(t, d.winErr)
	out := filepath.Join(t.TempDir(), "out.dmp")
	opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}}
	r, err := convert.File(context.Background(), d.elf, out, opt)
	require.NoError(t, err)
	assert.Zero(t, r.Memory.Missing)
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	theirs, err := winhdr.Decode(d.win)
	require.NoError(t, err)
	ours, err := winhdr.Decode(got)
	require.NoError(t, err)
	listed, _ := theirs.Runs()
	kept, _ := ours.Runs()
	assert.Equal(t, physmem.Runs{{BasePage: 0xd0000, PageCount: 3}}, listed.Without(kept.Ranges()))
	assert.Empty(t, kept.Without(listed.Ranges()))
}
