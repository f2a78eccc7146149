package winhdr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestComment(t *testing.T) {
	t.Parallel()
	h := X64.New()
	assert.Empty(t, h.CommentText(), "never set")
	for _, text := range []string{"", "made by windmp", strings.Repeat("x", 127)} {
		require.NoError(t, h.SetComment(text))
		assert.Equal(t, text, h.CommentText())
	}
	require.NoError(t, h.SetComment("abc"))
	assert.Equal(t, "abc\x00PAGEPAGE", string(h.Comment[:12]))

	copy(h.Comment[:], strings.Repeat("y", 128))
	assert.Equal(t, strings.Repeat("y", 128), h.CommentText(), "no NUL")
	copy(h.Comment[:], "a\x1b[31m\xff\x00z")
	assert.Equal(t, "a?[31m?", h.CommentText())
}

func TestSetCommentRefuses(t *testing.T) {
	t.Parallel()
	h := X64.New()
	before := h.Clone()
	require.EqualError(t, h.SetComment(strings.Repeat("x", 128)), "Comment at 0xfb0: got 0x80 bytes, want at most 0x7f")
	require.EqualError(t, h.SetComment("tab\t"), "Comment at 0xfb0: got byte 0x09 at 0x3, want printable ASCII")
	assert.Equal(t, before, h)
}
