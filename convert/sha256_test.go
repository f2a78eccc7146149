package convert_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert"
	"windmp/convert/plan"
	"windmp/convert/source"
	"windmp/internal/guestsim"
	"windmp/physmem"
)

// TestSHA256: the report has the digest of the file as it lies under its name: of a
// small dump and of a stream always, of others when it is asked for, and never of
// what was not written.
func TestSHA256(t *testing.T) {
	t.Parallel()
	core := writeCore(t, guestsim.New(guestsim.Options{}))
	cut := filepath.Join(t.TempDir(), "cut.vmcore")
	whole, err := os.ReadFile(core)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cut, whole[:len(whole)-physmem.PageSize], 0o600))
	triage := plan.Options{Type: plan.OutputTriage}
	for name, c := range map[string]struct {
		in, out string
		opt     convert.Options
		want    bool
	}{
		"not asked for": {in: core, out: "guest.dmp"},
		"asked for":     {in: core, out: "guest.dmp", opt: convert.Options{SHA256: true}, want: true},
		"packed":        {in: core, out: "guest.dmp.zst", opt: convert.Options{SHA256: true}, want: true},
		"ELF":           {in: core, out: "guest.elf", opt: convert.Options{SHA256: true, Plan: plan.Options{To: plan.FormatELF}}, want: true},
		"small dump":    {in: sample(t, "guest-bsod.vmcore"), out: "guest.dmp", opt: convert.Options{Plan: triage}, want: true},
		"packed small":  {in: sample(t, "guest-bsod.vmcore"), out: "guest.dmp.zip", opt: convert.Options{Plan: triage}, want: true},
		"looked at":     {in: core, out: "guest.dmp", opt: convert.Options{SHA256: true, DryRun: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), c.out)
			r, err := convert.File(t.Context(), c.in, out, c.opt)
			require.NoError(t, err)
			if !c.want {
				assert.Empty(t, r.Output.SHA256)
				return
			}
			b, err := os.ReadFile(out)
			require.NoError(t, err)
			assert.Equal(t, sha256Of(b), r.Output.SHA256)
		})
	}
	var b bytes.Buffer
	r, err := convert.Stream(t.Context(), source.Named(core), &b, convert.Options{})
	require.NoError(t, err)
	assert.Equal(t, sha256Of(b.Bytes()), r.Output.SHA256)
	r, err = convert.File(t.Context(), cut, filepath.Join(t.TempDir(), "out"), convert.Options{SHA256: true})
	require.Error(t, err)
	assert.Empty(t, r.Output.SHA256)
}

func sha256Of(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
