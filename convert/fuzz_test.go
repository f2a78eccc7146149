package convert_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/internal/guestsim"
	"windmp/physmem"
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
	contexts := []convert.ContextMode{convert.ContextsAuto, convert.ContextsVCPU, convert.ContextsSaved}
	missing := []convert.MissingMode{convert.MissingFail, convert.MissingZero, convert.MissingDrop}
	f.Fuzz(func(t *testing.T, core []byte, mode uint8) {
		im, err := physmem.New(bytes.NewReader(core), int64(len(core)))
		if err != nil {
			return
		}
		g, err := convert.Examine(im)
		require.NotNil(t, g)
		if err != nil {
			return
		}
		opt := convert.Options{Contexts: contexts[mode%3], Missing: missing[mode/3%3]}
		p, err := convert.NewPlan(g, opt)
		if err != nil || p.Size > fuzzOutput {
			return
		}
		var out bytes.Buffer
		require.NoError(t, p.Write(context.Background(), &out, opt))
		require.Equal(t, p.Size, int64(out.Len()))
		h, err := winhdr.Decode64(out.Bytes()[:winhdr.Size64])
		require.NoError(t, err)
		require.Equal(t, uint64(out.Len()), h.RequiredDumpSpace)
		runs, problems := h.Runs()
		require.NotEmpty(t, runs)
		require.Empty(t, problems)
	})
}
