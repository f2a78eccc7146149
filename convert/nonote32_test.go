package convert_test

import (
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	kinds "windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/guest"
	"windmp/convert/machine"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/internal/coretest"
	"windmp/internal/qemutest"
	"windmp/physmem"
	"windmp/physmem/open"
)

// builtFields32 is builtFields of a 32-bit header.
var builtFields32 = []allowed{
	{"ContextRecord behind the CONTEXT", 0x320 + 0x2cc, 0x7d0 - 0x320 - 0x2cc},
	{"Comment", 0x820, 128},
	{"Attributes", 0x8a0, 4},
	{"WriterStatus", 0xf9c, 4},
}

// builtFieldsOf are those of a dump's width.
func builtFieldsOf(t *testing.T, dmp []byte) []allowed {
	t.Helper()
	if shapeOf(t, dmp) != &shape32 {
		return builtFields
	}
	// The test guest leaves the runs that are not used as they were filled.
	used := shape32.runs + shape32.runSize*int64(1+binary.LittleEndian.Uint32(dmp[shape32.runs:]))
	return append([]allowed{{"unused runs", used, 0x320 - used}}, builtFields32...)
}

// machines without a note, of 32 bits.
var machinesBare32 = []qemuMachine{
	{"PAE", qemutest.Config{CPUs: 2, Variant: []string{"live"}}},
	{"PAE, crashed", qemutest.Config{CPUs: 1, Variant: []string{"bsod"}}},
	{"no PAE", qemutest.Config{CPUs: 1, Variant: []string{"live", "nopae"}}},
	{"no PAE, crashed, odd", qemutest.Config{CPUs: 2, Variant: []string{"bsod", "nopae", "odd"}}},
	// With PAE the guest maps nothing of the page that its root lies in, and a core with
	// paging on would lack it.
	{"video memory", qemutest.Config{CPUs: 2, VGA: true, Variant: []string{"bsod", "nopae"}}},
	{"above 4 GiB", qemutest.Config{CPUs: 2, Machine: "q35", Memory: "8M", MaxRAMBelow4G: "4M", Variant: []string{"live"}}},
}

// TestQEMUWithoutNote32 is [TestQEMUWithoutNote] for 32-bit guests, from files of
// all kinds: with the header note, but for the fields of a built header, the dump is
// the same, whichever way Windows was found.
func TestQEMUWithoutNote32(t *testing.T) {
	qemutest.Require(t)
	for _, m := range machinesBare32 {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.config.Guest32 = true
			if m.config.Memory == "" {
				m.config.Memory = "4M"
			}
			d := dumpMachine(t, m.config, filtered)
			require.NoError(t, d.winErr)
			variant := strings.Join(m.config.Variant, " ")
			core := readFile(t, d.elf)
			for _, file := range [][]byte{core, readFile(t, d.paging), readFile(t, d.filtered)} {
				withoutHeader(t, file, d.win, variant)
			}
			memoryAlone(t, core, d.win, variant)
			asX64(t, core, d.win)
			asRaw(t, core, d.win)
			asELF32(t, core, d.win, variant)
			given32(t, core, d.win)
		})
	}
}

// TestQEMUBuildsWithoutNote32: guests of all builds, those too of which QEMU writes no
// dump, give the dump that they give with the header note.
func TestQEMUBuildsWithoutNote32(t *testing.T) {
	qemutest.Require(t)
	for _, words := range []string{
		"build=2600 nopae", "build=2600 bsod", "build=3790 odd", "build=6002 bsod", "build=6002 nopae", "build=19041", "build=19041 nopae bsod",
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			vm := qemutest.Start(t, qemutest.Config{Guest32: true, CPUs: 2, Memory: "4M", Variant: strings.Fields(words)})
			path := filepath.Join(t.TempDir(), "core")
			require.NoError(t, vm.DumpELF(path, qemutest.ELFOptions{}))
			core := readFile(t, path)
			opt := convert.Options{Plan: plan.Options{Contexts: plan.ContextsSaved}}
			want, _ := convertAll(t, fileOf("core", core), opt)
			for _, notes := range [][]string{{"VMCOREINFO"}, {"VMCOREINFO", "CORE", "QEMU"}} {
				got, _, err := convertBytes(t, stripNotes(t, core, notes...), opt)
				require.NoError(t, err)
				equalButFor(t, want, got, builtFieldsOf(t, want))
			}
		})
	}
}

// asX64: a core without vCPUs that calls itself one of an x64 machine, as QEMU's gdb
// script makes it by the wrong name of the processor.
func asX64(t *testing.T, core, want []byte) {
	t.Helper()
	b := stripNotes(t, core, "VMCOREINFO", "CORE", "QEMU")
	binary.LittleEndian.PutUint16(b[18:], 62)
	got, r, err := convertBytes(t, b, convert.Options{})
	require.NoError(t, err)
	samePages(t, core, want, got)
	assert.Contains(t, findingOf(r, finding.GuestFound.ID()).Message, "self-map")
}

// asRaw: memory without a file format.
func asRaw(t *testing.T, core, want []byte) {
	t.Helper()
	file, holes := coretest.Raw(t, openBytes(t, core))
	got, _, err := convertBytes(t, file, convert.Options{Source: source.Options{Input: open.Options{Format: physmem.FormatRaw, Holes: holes}}})
	require.NoError(t, err)
	samePages(t, core, want, got)
}

// frontELF32 is what stands before the memory in the core of a 32-bit machine.
func frontELF32(tb testing.TB, ranges []physmem.Range, cpus []physmem.CPU) []byte {
	tb.Helper()
	l, err := kinds.NewELF(machine.X86.Core, physmem.RunsOf(ranges), cpus, nil)
	require.NoError(tb, err)
	for s := range l.Segments() {
		if s.Kind == kinds.Bytes {
			b := make([]byte, s.Size)
			_, err := s.Read(b, nil)
			require.NoError(tb, err)
			return b
		}
	}
	return nil
}

// asELF32: QEMU writes ELF32 where the machine has nothing up to 4 GiB, which only
// machines without a BIOS have.
func asELF32(t *testing.T, core, want []byte, variant string) {
	t.Helper()
	im := openBytes(t, core)
	ranges := slices.DeleteFunc(slices.Clone(im.Ranges()), func(r physmem.Range) bool { return r.End() >= 1<<32 })
	if last := im.Ranges()[len(im.Ranges())-1]; last.End() > 1<<32 {
		return
	}
	b := frontELF32(t, ranges, im.CPUs())
	require.EqualValues(t, 1, b[4], "ELFCLASS32")
	for _, r := range ranges {
		p := make([]byte, r.Size)
		_, err := im.ReadAt(p, int64(r.Start))
		require.NoError(t, err)
		b = append(b, p...)
	}
	got, r := convertAll(t, fileOf("elf32", b), convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}})
	equalButFor(t, want, got, slices.Concat(builtFieldsOf(t, want), differences(t, got, r, variant)))
}

// given32: addresses that the user gives, each alone, with vCPUs and without.
func given32(t *testing.T, core, want []byte) {
	t.Helper()
	_, with := convertAll(t, fileOf("core", core), convert.Options{})
	const kernel = 0x82a00000
	for _, notes := range [][]string{{"VMCOREINFO"}, {"VMCOREINFO", "CORE", "QEMU"}} {
		bare := stripNotes(t, core, notes...)
		for _, opt := range []convert.Options{
			{Guest: guest.Options{DTB: uint64(with.Guest.DirectoryTableBase)}},
			{Guest: guest.Options{KernelBase: kernel}},
			{Guest: guest.Options{KDBG: uint64(with.Guest.KDBG)}},
			{Guest: guest.Options{DTB: uint64(with.Guest.DirectoryTableBase), KernelBase: kernel, KDBG: uint64(with.Guest.KDBG)}},
		} {
			opt.Plan.Contexts = plan.ContextsVCPU
			got, r := convertAll(t, fileOf("image", bare), opt)
			samePages(t, core, want, got)
			assert.Contains(t, findingOf(r, finding.GuestFound.ID()).Message, "the System process' own")
		}
	}
}
