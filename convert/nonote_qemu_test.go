package convert_test

import (
	"bytes"
	"encoding/binary"
	"slices"
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
	"windmp/internal/testheap"
)

// stripNotes copies a vmcore with notes of the given names made unknown ones.
func stripNotes(t *testing.T, core []byte, names ...string) []byte {
	t.Helper()
	b := testheap.Clone(t, core)
	phoff := binary.LittleEndian.Uint64(b[0x20:])
	off := binary.LittleEndian.Uint64(b[phoff+8:])
	size := binary.LittleEndian.Uint64(b[phoff+32:])
	require.Equal(t, uint32(4), binary.LittleEndian.Uint32(b[phoff:]), "the first program header is PT_NOTE")
	stripped := 0
	for at := off; at < off+size; {
		namesz, descsz := uint64(binary.LittleEndian.Uint32(b[at:])), uint64(binary.LittleEndian.Uint32(b[at+4:]))
		name := b[at+12 : at+12+namesz-1]
		if slices.Contains(names, string(name)) {
			copy(name, bytes.Repeat([]byte("x"), len(name)))
			stripped++
		}
		at += 12 + (namesz+3)&^3 + (descsz+3)&^3
	}
	require.NotZero(t, stripped)
	return b
}

// withoutHeader converts core without its header note and compares with QEMU's
// win-dmp of the same stopped guest.
func withoutHeader(t *testing.T, core, want []byte, variant string) {
	t.Helper()
	bare := stripNotes(t, core, "VMCOREINFO")
	got, r, err := convertBytes(t, bare, convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}})
	require.NoError(t, err)
	decoded := strings.Contains(variant, "encoded")
	list := slices.Concat(builtFieldsOf(t, want), differences(t, got, withoutDecoding(r), variant))
	if decoded {
		list = append(list, decodedPlaces(t, want, got, r)...)
	}
	require.Equal(t, len(want), len(got), "%v", findingOf(r, finding.MemoryCut.ID())) //nolint:testifylint // Len would print both
	equalButFor(t, want, got, list)
	if strings.Contains(variant, "swapcpu") {
		assertSwapped(t, shapeOf(t, want), want, got, r)
	}
}

// withoutDecoding is a report less the edits that decode KDBG.
func withoutDecoding(r *report.Report) *report.Report {
	c := *r
	c.Edits = slices.DeleteFunc(slices.Clone(r.Edits), func(e report.Edit) bool {
		return strings.HasPrefix(e.Reason, "Kd") || strings.HasPrefix(e.Reason, "KDBG")
	})
	return &c
}

// decodedPlaces asserts that an encoded KDBG was written decoded, as the guest's
// driver keeps it, that its flag was cleared and the header refers to it; and
// gives these places.
func decodedPlaces(t *testing.T, want, got []byte, r *report.Report) []allowed {
	t.Helper()
	list := []allowed{{"KdDebuggerDataBlock", 0x80, 8}}
	var block []byte
	flags := 0
	for _, e := range r.Edits {
		at := fileOffset(t, got, uint64(e.PA))
		switch e.Reason {
		case "KDBG decoded":
			block = append(block, got[at:at+int64(e.Size)]...)
		case "KdpDataBlockEncoded cleared":
			flags++
			assert.Equal(t, byte(1), want[at])
			assert.Equal(t, byte(0), got[at])
		default:
			continue
		}
		list = append(list, allowed{e.Reason, at, int64(e.Size)})
	}
	assert.Equal(t, 1, flags)
	require.Len(t, block, r.Guest.KDBGSize)
	assert.Equal(t, uint64(r.Guest.KDBG), binary.LittleEndian.Uint64(got[0x80:]))
	assert.Equal(t, "KDBG", string(block[0x10:0x14]))
	return list
}

// convertAll converts a vmcore that must convert, in memory.
func convertAll(t *testing.T, core source.Input, opt convert.Options) ([]byte, *report.Report) {
	t.Helper()
	dmp, r, err := inMemory(t, core, opt)
	require.NoError(t, err)
	return dmp, r
}

// memoryAlone converts core without header and CPU notes: the pages are those of
// QEMU's dump, but for the registers that only the notes carry.
func memoryAlone(t *testing.T, core, want []byte, variant string) {
	t.Helper()
	bare := stripNotes(t, core, "VMCOREINFO", "CORE", "QEMU")
	got, r, err := convertBytes(t, bare, convert.Options{})
	require.NoError(t, err)
	var decoded []allowed
	if strings.Contains(variant, "encoded") {
		decoded = decodedPlaces(t, want, got, r)
	}
	samePages(t, core, want, got, decoded...)
	assert.NotNil(t, findingOf(r, finding.NoVCPUState.ID()))
}

// samePages asserts that a dump is QEMU's, but for a built header, where more
// says, and where windmp writes the vCPUs' registers when it converts core.
func samePages(t *testing.T, core, want, got []byte, more ...allowed) {
	t.Helper()
	_, with := convertAll(t, fileOf("core", core), convert.Options{Plan: plan.Options{Contexts: plan.ContextsVCPU}})
	s := shapeOf(t, want)
	list := slices.Concat(builtFieldsOf(t, want), s.improved, []allowed{s.improvedIn["pcid"]}, more, editedPlaces(t, got, with))
	for _, a := range differences(t, want, with, "") {
		if strings.HasPrefix(a.name, "behind ") {
			list = append(list, a)
		}
	}
	equalButFor(t, want, got, list)
}

// withoutNote converts vmcores without the guest's header, paging off and on, with and
// without CPU notes.
func (d *dumps) withoutNote(t *testing.T, variant string) {
	t.Helper()
	core := readFile(t, d.elf)
	withoutHeader(t, core, d.win, variant)
	withoutHeader(t, readFile(t, d.paging), d.win, variant)
	memoryAlone(t, core, d.win, variant)
}

// TestQEMUWithoutNote does so with guests that differ in nothing else from those of
// [TestQEMU].
func TestQEMUWithoutNote(t *testing.T) {
	qemutest.Require(t)
	for _, words := range []string{
		"build=9600 encoded key=1", "build=9600 bsod", "build=26100 encoded key=2 bsod", "build=26100 shadow user encoded key=3",
		"encoded key=62", "encoded key=63", // every bit of the rotation
	} {
		t.Run(words, func(t *testing.T) {
			t.Parallel()
			d := dumpMachine(t, qemutest.Config{CPUs: 2, Variant: strings.Fields(words)})
			require.NoError(t, d.winErr)
			d.withoutNote(t, words)
		})
	}
}

// TestSamplesWithoutNote does the same with the committed samples.
func TestSamplesWithoutNote(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		if strings.Contains(s.core, "runs") {
			continue // its header leaves pages out that Windows' own list has
		}
		t.Run(s.core, func(t *testing.T) {
			t.Parallel()
			core, want := gunzip(t, samplePath(s.core)), gunzip(t, samplePath(s.win+".win-dmp.gz"))
			withoutHeader(t, core, want, s.core)
			if !strings.Contains(s.core, "paging") {
				memoryAlone(t, core, want, s.core)
			}
		})
	}
}
