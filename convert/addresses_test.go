package convert_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/inspect"
	"windmp/convert/report"
	"windmp/convert/source"
	"windmp/internal/guestsim"
	"windmp/winhdr"
	"windmp/winhdr/bugcheck"
)

// TestAddressesOf32Bits: what is said of a 32-bit guest has its addresses as 0x and
// digits, without zeros in front, wherever the sentence was made.
func TestAddressesOf32Bits(t *testing.T) {
	t.Parallel()
	for _, s := range samples32 {
		t.Run(s.core, func(t *testing.T) {
			t.Parallel()
			path := sample(t, s.core)
			out := filepath.Join(t.TempDir(), "out.dmp")
			r, err := convert.File(t.Context(), path, out, convert.Options{})
			require.NoError(t, err)
			info, err := inspect.Info(t.Context(), source.File(path), inspect.InfoOptions{Modules: true, Processes: true})
			require.NoError(t, err)
			walk, err := inspect.Walk(t.Context(), source.File(path), []uint64{0x80801234, 0x1234}, inspect.WalkOptions{})
			require.NoError(t, err)
			check, err := inspect.Check(t.Context(), inspect.CheckOptions{}, source.File(path), source.File(out))
			require.NoError(t, err)
			said, err := json.Marshal([]any{r, info, walk, check})
			require.NoError(t, err)
			assert.NotContains(t, string(said), "`")
			assert.NotContains(t, string(said), "0x00000000")
			assert.Contains(t, string(said), `"VA 0x82b2ebe8"`)
			assert.Regexp(t, "virtual address 0x80801234: .* at 0x[0-9a-f]{6}$", walk.Walks[0].Error)
		})
	}
	walk, err := inspect.Walk(t.Context(), source.File(sample(t, "live-2cpu.vmcore.gz")), []uint64{0x1234}, inspect.WalkOptions{})
	require.NoError(t, err)
	assert.Contains(t, walk.Walks[0].Error, "virtual address 0x1234: ")
}

// TestBugCheckWords: what stands behind a code of 0 is nothing of a bug check, and a
// code has its sign where the guest has it.
func TestBugCheckWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		data       [5]uint64
		code       report.Hex // as it is shown
		field, pad uint32
		crashed    bool
	}{
		{"live, other words in use", [5]uint64{0, 0, 0, 0, 0xe43c8675}, 0, bugcheck.LiveSystemDump, 0, false},
		{"live, all in use", [5]uint64{1 << 32, 1, 2, 3, 4}, 0, bugcheck.LiveSystemDump, 0, false},
		{"a status", [5]uint64{0xffffffff_c000021a, 1, 2, 3, 4}, 0xffffffff_c000021a, 0xc000021a, 0xffffffff, true},
		{"a status without its sign", [5]uint64{0xc000021a, 1, 2, 3, 4}, 0xc000021a, 0xc000021a, 0, true},
		{"none of its bits", [5]uint64{0x1234_0000000a, 1, 2, 3, 4}, 0xa, 0xa, 0x1234, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := writeCore(t, guestsim.New(guestsim.Options{CPUs: 2, BugCheck: tt.data}))
			dmp, r := convertAll(t, source.File(path), convert.Options{})
			want := [4]uint64{}
			if tt.crashed {
				want = [4]uint64(tt.data[1:])
			}
			h, err := winhdr.X64.Decode(dmp[:winhdr.X64.Header.Size()])
			require.NoError(t, err)
			assert.Equal(t, tt.field, h.BugCheckCode)
			assert.Equal(t, tt.pad, h.BugCheckCodePad)
			assert.Equal(t, want, h.BugCheckParameters)
			assert.Equal(t, tt.crashed, r.Guest.BugCheck.Crashed)

			live := report.Hex(bugcheck.LiveSystemDump)
			out := filepath.Join(t.TempDir(), "out.dmp")
			require.NoError(t, os.WriteFile(out, dmp, 0o600))
			info, err := inspect.Info(t.Context(), source.File(path), inspect.InfoOptions{})
			require.NoError(t, err)
			ofDump, err := inspect.Info(t.Context(), source.File(out), inspect.InfoOptions{})
			require.NoError(t, err)
			if tt.crashed {
				live = tt.code
			}
			assert.Equal(t, live, r.Guest.BugCheck.Code)
			for i := range want {
				assert.Equal(t, report.Hex(want[i]), r.Guest.BugCheck.Parameters[i])
			}
			for file, bug := range map[string]*report.BugCheckDetail{
				"core": info.Bug, "dump": ofDump.Bug,
				"checked core": checkOf(t, path, inspect.CheckOptions{}).Bug, "checked dump": checkOf(t, out, inspect.CheckOptions{}).Bug,
			} {
				code := tt.code
				if bug.Source == "header" {
					code = live
				}
				assert.Equal(t, code, bug.Code, file)
				assert.Equal(t, tt.crashed, bug.Crashed, file)
				for i, p := range bug.Parameters {
					assert.Equal(t, report.Hex(want[i]), p.Value, file)
				}
			}
		})
	}
}
