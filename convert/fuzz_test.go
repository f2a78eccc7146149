package convert_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/guest"
	"windmp/convert/plan"
	"windmp/convert/report"
	"windmp/internal/guestsim"
	"windmp/internal/testheap"
	"windmp/physmem/physmemtest"
	"windmp/winhdr"
)

// fuzzOutput bounds the dumps that the fuzzer lets be written.
const fuzzOutput = 4 << 20

// FuzzConvert runs the whole conversion on arbitrary files. What is converted
// must be a sound dump: the size the plan promised, and a header without a
// problem.
func FuzzConvert(f *testing.F) {
	for _, opt := range []guestsim.Options{
		{},
		{CPUs: 2, BugCheck: crash, Odd: true},
		{Encoded: true, SoftwareBits: true, PCID: true},
		{LA57: true, File: guestsim.FileOptions{Paging: true}},
		{Shadow: true, File: guestsim.FileOptions{PNXNUM: true, NotesLast: true}},
	} {
		f.Add(guestsim.New(opt).ELF(), uint8(0))
		f.Add(guestsim.New(opt).ELF(), uint8(4))
	}
	f.Fuzz(func(t *testing.T, core []byte, mode uint8) { checkConversion(t, core, mode) })
}

// FuzzConvertPoked overwrites words of a sound core, which reaches deeper than
// arbitrary bytes: each 8 bytes of pokes are an offset, a length and a value.
func FuzzConvertPoked(f *testing.F) {
	core := guestsim.New(guestsim.Options{CPUs: 2, BugCheck: crash}).ELF()
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0}, uint8(0))
	f.Add([]byte{0xc0, 0x11, 0, 4, 0xff, 0xff, 0xff, 0xff, 0x10, 0x12, 0, 8, 1, 2, 3, 4}, uint8(4))
	f.Fuzz(func(t *testing.T, pokes []byte, mode uint8) { checkConversion(t, poke(t, core, pokes), mode) })
}

// poke returns a copy of core with the pokes in it.
func poke(tb testing.TB, core, pokes []byte) []byte {
	tb.Helper()
	poked := testheap.Clone(tb, core)
	for ; len(pokes) >= 8; pokes = pokes[8:] {
		at := (int(pokes[0]) | int(pokes[1])<<8 | int(pokes[2])<<16) % len(poked)
		copy(poked[at:], pokes[4:4+1+pokes[3]%4])
	}
	return poked
}

// FuzzConvertPoked32 is that of 32-bit guests, with PAE and without: samples of
// QEMU. Seeds overwrite what leads to the kernel.
func FuzzConvertPoked32(f *testing.F) {
	var cores [][]byte
	for i, name := range []string{"x86-bsod-2cpu.vmcore.gz", "x86-nopae-live-2cpu.vmcore.gz"} {
		core := gunzip(f, samplePath(name))
		cores = append(cores, core)
		f.Add([]byte{}, uint8(i))
		header := bytes.Index(core, []byte("PAGEDUMP"))
		tag := bytes.Index(core, []byte("KDBG"))
		for _, at := range []int{header + 4, header + 0x10, header + 0x18, header + 0x20, header + 0x24, header + 0x5c, header + 0x60, header + 0x64, header + 0x6c, tag, tag + 4, tag + 8, tag + 0x208} {
			f.Add([]byte{byte(at), byte(at >> 8), byte(at >> 16), 3, 0xff, 0xff, 0xff, 0xff}, uint8(i+2))
		}
	}
	f.Fuzz(func(t *testing.T, pokes []byte, mode uint8) {
		checkConversion(t, poke(t, cores[mode%2], pokes), mode/2)
	})
}

// checkConversion converts core, if it can be, and checks the dump.
func checkConversion(t *testing.T, core []byte, mode uint8) {
	t.Helper()
	contexts := []plan.ContextMode{plan.ContextsAuto, plan.ContextsVCPU, plan.ContextsSaved}
	missing := []report.MissingMode{report.MissingFail, report.MissingZero, report.MissingDrop}
	im, err := physmemtest.Open(core)
	if err != nil {
		return
	}
	g, err := guest.Find(context.Background(), im, guest.Options{})
	require.NotNil(t, g)
	if err != nil {
		return
	}
	opt := convert.Options{Plan: plan.Options{Contexts: contexts[mode%3], Missing: missing[mode/3%3]}}
	p, err := plan.New(t.Context(), g, opt.Plan)
	if err != nil || p.Size() > fuzzOutput {
		return
	}
	out := bytes.NewBuffer(testheap.Bytes(t, int(p.Size()))[:0])
	require.NoError(t, convert.Write(context.Background(), p, out, opt.Write))
	require.Equal(t, p.Size(), int64(out.Len()))
	h, err := winhdr.Decode(out.Bytes())
	require.NoError(t, err)
	require.Equal(t, uint64(out.Len()), h.RequiredDumpSpace)
	runs, problems := h.Runs()
	require.NotEmpty(t, runs)
	require.Empty(t, problems)
}
