package finding

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/physmem"
	"windmp/physmem/extents"
)

// failing is a file whose pages can't be read once broken is set.
type failing struct{ broken error }

func (f *failing) ReadAt(b []byte, off int64) (int, error) {
	if f.broken != nil {
		return 0, f.broken
	}
	if off+int64(len(b)) > 0x2000 {
		return int(max(0, 0x2000-off)), io.EOF
	}
	return len(b), nil
}

// TestBlameDisk: of a file that can't be read, no refusal stands, and no ID changes
// its severity.
func TestBlameDisk(t *testing.T) {
	t.Parallel()
	file := &failing{}
	src := physmem.NewSource("", file, 0x2000)
	im := physmem.NewImage(physmem.FormatRaw, src, &physmem.Container{Memory: extents.New(src, []physmem.Extent{{Range: physmem.Span(0, 0x2000)}})})
	var list List
	list.Add(Truncated.At("", "cut"))
	list.Add(KDBGFound.At("", "found"))
	list.Add(ModuleList.At("", "it breaks off"))
	refused := list.Refuse(NoProcessors.At("VA 0x1", "none"), nil)
	assert.Equal(t, SeverityFail, refused.Finding.Severity)
	require.EqualError(t, refused, "none (VA 0x1)")
	require.Equal(t, error(refused), list.BlameDisk(im, refused), "all could be read")

	file.broken = syscall.EIO
	_, err := im.ReadAt(make([]byte, 1), 0x1000)
	require.ErrorIs(t, err, file.broken)
	other := errors.New("of no file")
	require.Equal(t, other, list.BlameDisk(im, other), "this is another error")
	require.ErrorIs(t, list.BlameDisk(im, refused), file.broken)
	want := Undecided.At("VA 0x1", "does not count, as the file could not be read: none")
	assert.Equal(t, []Finding{Truncated.At("", "cut"), KDBGFound.At("", "found"), want}, list.All)
}

// TestNameDamage: of a file that is cut the advice is to copy it again, with the gaps that
// the output can have and no others.
func TestNameDamage(t *testing.T) {
	t.Parallel()
	const cut = "the file is cut"
	c := &physmem.Container{Oddities: []physmem.Oddity{{Kind: physmem.OddityTruncated, Text: cut}}}
	im := physmem.NewImage(physmem.FormatRaw, physmem.NewSource("", &failing{}, 0x2000), c)
	const copied = "Copy the file again, or dump again with enough space, or accept a "
	for _, tt := range []struct {
		kind   Kind
		advice string
	}{
		{Missing, copied + "dump with gaps: zeros there, or the pages left out."},
		{Missing.WithAdvice(AdviceCoreGaps), copied + "core with gaps: the pages left out."},
		{Missing.WithAdvice(""), adviceCopyAgain},
		{NoProcessors, adviceCopyAgain},
	} {
		var list List
		refused := list.Refuse(tt.kind.At("", "why"), nil)
		require.ErrorIs(t, NameDamage(im, refused), refused)
		assert.Equal(t, cut+"; why", refused.Finding.Message)
		assert.Equal(t, tt.advice, refused.Finding.Advice)
		require.ErrorIs(t, NameDamage(im, refused), refused)
		assert.Equal(t, cut+"; why", refused.Finding.Message, "once")
	}
}
