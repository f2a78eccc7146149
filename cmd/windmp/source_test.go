package main

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/cmd/windmp/internal/sourceflag"
	"windmp/convert/source"
	"windmp/convert/stage"
	"windmp/physmem"
	"windmp/physmem/open"
)

// TestInputFlags: what a file does not say of itself is an option, or an error.
func TestInputFlags(t *testing.T) {
	t.Parallel()
	hole := func(start, size uint64) physmem.Range { return physmem.Range{Start: start, Size: size} }
	for _, tc := range []struct {
		name string
		args []string
		want open.Options
		err  string // of the flag itself, or of the options
	}{
		{name: "none"},
		{name: "auto", args: []string{"--format=auto"}},
		{name: "elf", args: []string{"--format=elf"}, want: open.Options{Format: physmem.FormatELF}},
		{name: "raw", args: []string{"--format", "raw"}, want: open.Options{Format: physmem.FormatRaw}},
		{
			name: "holes", args: []string{"--format=raw", "--hole=0xc0000000-0x100000000", "--hole", "4224M-0x10bffffff"},
			want: open.Options{Format: physmem.FormatRaw, Holes: []physmem.Range{hole(0xc0000000, 0x40000000), hole(0x108000000, 0x4000000)}},
		},
		{
			name: "suffixes", args: []string{"--format=raw", "--hole=3G-4GiB", "--hole=2000-12k"},
			want: open.Options{Format: physmem.FormatRaw, Holes: []physmem.Range{hole(3<<30, 1<<30), hole(0x2000, 0x1000)}},
		},
		{name: "unknown", args: []string{"--format=vmem"}, err: `--format: "vmem" is not one of elf, dmp, kdump, `},
		{name: "not raw", args: []string{"--hole=3G-4G"}, err: "--hole goes with --format=raw"},
		{name: "no pages", args: []string{"--format=raw", "--hole=1-0x2000"}, err: "--hole: [0x1, 0x2000) does not begin and end at a page"},
		{name: "overlap", args: []string{"--format=raw", "--hole=1G-3G", "--hole=2G-4G"}, err: "--hole: [0x40000000, 0xc0000000) and [0x80000000, 0x100000000) overlap"},
		{name: "no end", args: []string{"--hole=3G"}, err: `"3G" is not START-END`},
		{name: "backwards", args: []string{"--hole=4G-3G"}, err: `"4G-3G" ends before it begins`},
		{name: "empty", args: []string{"--hole=3G-3G"}, err: "ends before it begins"},
		{name: "no number", args: []string{"--hole=x-3G"}, err: `"x" is not an address`},
		{name: "no number at the end", args: []string{"--hole=3G-"}, err: `"" is not an address`},
		{name: "only a suffix", args: []string{"--hole=3G-GiB"}, err: `"GiB" is not an address`},
		{name: "too large", args: []string{"--hole=3G-99999999T"}, err: `"99999999T" is not an address`},
		{name: "above memory", args: []string{"--format=raw", "--hole=4096T-8192T"}, err: "are no range of physical memory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var f sourceflag.Input
			fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
			f.Register(fs)
			err := fs.Parse(tc.args)
			var opt source.Options
			if err == nil {
				if opt, err = f.Options(); err != nil {
					var usage *stage.UsageError
					require.ErrorAs(t, err, &usage)
				}
			}
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want.Format, opt.Input.Format)
			assert.Equal(t, tc.want.Holes, opt.Input.Holes)
		})
	}
}

// TestLimitFlags: a limit is one, or an error.
func TestLimitFlags(t *testing.T) {
	t.Parallel()
	limits := func(args ...string) (source.Limits, error) {
		var f sourceflag.Look
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.Limits.Register(fs)
		require.NoError(t, fs.Parse(args))
		opt, _, err := f.Options()
		return opt.Limits, err
	}
	l, err := limits()
	require.NoError(t, err)
	assert.Zero(t, l)
	l, err = limits("--timeout=90s", "--max-read=64MB")
	require.NoError(t, err)
	assert.Equal(t, source.Limits{MaxRead: 64e6, Timeout: 90e9}, l)
	for _, bad := range []string{"--timeout=0s", "--timeout=-1s", "--max-read=", "--max-read=0", "--max-read=-5", "--max-read=much"} {
		_, err := limits(bad)
		require.ErrorAs(t, err, new(*stage.UsageError), bad)
	}
}
