package convert_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/finding"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/qemutest"
)

// machines32 are the rows of the witness for 32-bit guests.
func machines32() []qemuMachine {
	var list []qemuMachine
	add := func(name string, c qemutest.Config) {
		c.Guest32 = true
		if c.Memory == "" {
			c.Memory = "4M"
		}
		list = append(list, qemuMachine{name, c})
	}
	for _, variant := range []string{"live", "bsod", "nopae", "nopae bsod", "odd", "odd bsod nopae", "badcopy", "build=19041 bsod"} {
		add(variant, qemutest.Config{CPUs: 2, Variant: strings.Fields(variant)})
	}
	add("one cpu", qemutest.Config{CPUs: 1, Variant: []string{"live"}})
	add("four cpus", qemutest.Config{CPUs: 4, Variant: []string{"bsod", "crashcpu=2"}})
	add("q35", qemutest.Config{Machine: "q35", CPUs: 2, Variant: []string{"bsod"}})
	add("vga", qemutest.Config{CPUs: 2, VGA: true, Variant: []string{"live"}})
	high := qemutest.Config{CPUs: 2, Memory: "8M", MaxRAMBelow4G: "4M", Variant: []string{"bsod"}}
	add("above 4 GiB", high)
	high.Machine, high.Variant = "q35", []string{"live", "odd"}
	add("q35 above 4 GiB", high)
	high.Variant = []string{"nopae"}
	add("above 4 GiB, no PAE", high)
	return list
}

// TestQEMU32 is [TestQEMU] for 32-bit guests, from kdump-compressed files too; without
// notes there is [TestQEMUWithoutNote32].
func TestQEMU32(t *testing.T) {
	qemutest.Require(t)
	for _, m := range machines32() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			d := dumpMachine(t, m.config, filtered, kdumped, migrated)
			require.NoError(t, d.winErr)
			variant := strings.Join(m.config.Variant, " ")
			for _, core := range []string{d.elf, d.paging, d.filtered, d.kdump} {
				r := witness(t, source.File(core), d.win, variant)
				assert.Len(t, r.Processors, m.config.CPUs)
				assertBehind(t, d.win, r)
			}
			// Read as a source, QEMU's dump is complete; made again, only what
			// windmp states better is different.
			witness(t, source.File(d.again(t)), d.win, "")
			d.streamed(t, variant)
		})
	}
}

// again is QEMU's dump as a file.
func (d dumps) again(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qemu.dmp")
	require.NoError(t, os.WriteFile(path, d.win, 0o400))
	return path
}

// assertBehind: what QEMU puts behind the end of a CONTEXT of 32 bits is the
// padding of its own structure.
func assertBehind(t *testing.T, win []byte, r *report.Report) {
	t.Helper()
	n := 0
	for _, a := range differences(t, win, r, "") {
		if strings.HasPrefix(a.name, "behind ") {
			assert.Equal(t, make([]byte, a.size), win[a.offset:a.offset+a.size], a.name)
			n++
		}
	}
	assert.Len(t, r.Processors, n)
}

// outcomes32 is the table of the 32-bit guests that QEMU's win-dmp fails on.
var outcomes32 = []outcome{
	{variant: "badsig", qemu: "invalid header, expected 'PAGE'", findings: []string{finding.HeaderRepaired.ID()}},
	{variant: "badvalid", qemu: "invalid header, expected 'DUMP' or 'DU64'", findings: []string{finding.HeaderRepaired.ID()}},
	{variant: "badvalid nopae", qemu: "invalid header, expected 'DUMP' or 'DU64'", findings: []string{finding.HeaderRepaired.ID()}},
	{variant: "unmapped", qemu: "failed to read OwnerTag", findings: []string{finding.KDBGCopy.ID()}, check: kdbgFrom(report.KDBGCopy)},
	{variant: "unmapped nopae bsod", qemu: "failed to read OwnerTag", findings: []string{finding.KDBGCopy.ID()}, check: kdbgFrom(report.KDBGCopy)},
	{variant: "baddtb", qemu: "failed to read OwnerTag", findings: []string{finding.DTBReplaced.ID()}},
	{variant: "noprocblk", qemu: "failed to read CPU #0 PRCB location", refused: finding.NoProcessors.ID()},
	{variant: "noprcb", qemu: "failed to read CPU #1 ContextFrame location", findings: []string{finding.ProcessorsFewer.ID()}, check: processors(1)},
	{variant: "noctx", qemu: "failed to save CPU #1 context", findings: []string{finding.ProcessorsFewer.ID()}, check: processors(1)},
	{variant: "nobug", findings: []string{finding.BugCheckUnread.ID()}, check: func(t *testing.T, r *report.Report) {
		t.Helper()
		assert.Nil(t, r.Guest.BugCheck)
	}},
	{variant: "ncpu=1", findings: []string{finding.ProcessorsFewer.ID()}, check: processors(2)},
	{variant: "ncpu=3", findings: []string{finding.ProcessorsFewer.ID()}, check: processors(2)},
	{variant: "nonote", qemu: "invalid vmcoreinfo note size", findings: []string{finding.NoHeader.ID(), finding.HeaderBuilt.ID()}, check: processors(2)},
	{variant: "nonote nopae", qemu: "invalid vmcoreinfo note size", findings: []string{finding.NoHeader.ID(), finding.HeaderBuilt.ID()}, check: processors(2)},
	{variant: "descsz=0xff0", qemu: "invalid vmcoreinfo note size", findings: []string{finding.NoteSize.ID()}},
	{variant: "descsz=0x1004", qemu: "invalid vmcoreinfo note size", findings: []string{finding.NoteSize.ID()}},
	// Before Windows 7 there is no KPRCB.Context for QEMU to write to.
	{variant: "build=6002", qemu: "failed to save CPU #0 context", check: processors(2)},
	{variant: "build=3790", qemu: "failed to save CPU #0 context", check: processors(2)},
	{variant: "build=3790 bsod nopae", qemu: "failed to save CPU #0 context", check: processors(2)},
	{variant: "build=2600", qemu: "failed to save CPU #0 context", check: processors(2)},
}

// TestQEMUFailures32 is [TestQEMUFailures] for 32-bit guests.
func TestQEMUFailures32(t *testing.T) {
	qemutest.Require(t)
	for _, o := range outcomes32 {
		t.Run(o.variant, func(t *testing.T) {
			t.Parallel()
			d := dumpMachine(t, qemutest.Config{Guest32: true, CPUs: 2, Memory: "4M", Variant: strings.Fields(o.variant)}, kdumped)
			if o.qemu == "" {
				require.NoError(t, d.winErr)
			} else {
				require.ErrorContains(t, d.winErr, o.qemu)
			}
			for _, core := range []string{d.elf, d.paging, d.kdump} {
				o.assert(t, core)
			}
		})
	}
}
