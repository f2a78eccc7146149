package hyperv

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/internal/coretest"
)

// TestExpandPublished: the examples of [MS-XCA] 3.1.
func TestExpandPublished(t *testing.T) {
	t.Parallel()
	for packed, want := range map[string]string{
		"3f0000006162636465666768696a6b6c6d6e6f707172737475767778797a": "abcdefghijklmnopqrstuvwxyz",
		"ffffff1f61626317000fff2601":                                   strings.Repeat("abc", 100),
	} {
		src, err := hex.DecodeString(packed)
		require.NoError(t, err)
		dst := make([]byte, len(want))
		require.NoError(t, expand(dst, src))
		assert.Equal(t, want, string(dst))
	}
}

// noise is n bytes of a linear congruential generator.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = byte(seed >> 56)
	}
	return b
}

// text is n bytes of words that noise chooses.
func text(n int, seed uint64) []byte {
	words := []string{"kernel ", "page ", "memory ", "of ", "the ", "guest ", "\x00\x00\x00\x00", "\xff\xff"}
	var b []byte
	for _, c := range noise(n, seed) {
		b = append(b, words[c%8]...)
	}
	return b[:n]
}

// TestExpandSamba: what another implementation packed.
func TestExpandSamba(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("testdata/xpress-samba.txt")
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var kind, packed string
		var size int
		var seed uint64
		_, err := fmt.Sscan(line, &kind, &size, &seed, &packed)
		require.NoError(t, err)
		want := map[string][]byte{"noise": noise(size, seed), "text": text(size, seed), "run": bytes.Repeat([]byte{byte(seed)}, size)}[kind]
		src, err := base64.StdEncoding.DecodeString(packed)
		require.NoError(t, err)
		dst := make([]byte, size)
		require.NoError(t, expand(dst, src), line)
		assert.True(t, bytes.Equal(want, dst), line)
		n++
	}
	assert.Equal(t, 10, n)
}

// TestExpandDamaged: packed data that ends early, begins before its page or makes too
// much is refused, and no byte beyond the page is touched.
func TestExpandDamaged(t *testing.T) {
	t.Parallel()
	src := coretest.XpressPack(text(4096, 7))
	dst := make([]byte, 4096)
	require.NoError(t, expand(dst, src))
	for n := range len(src) - 4 {
		require.ErrorIs(t, expand(dst, src[:n]), errXpress, n)
	}
	require.ErrorIs(t, expand(dst[:4095], src[:len(src)-4]), errXpress, "a match goes past the end")
	for name, packed := range map[string]string{
		"a match in front of the page":        "000000800000",
		"a length below its steps":            "ff ff ff ff 00 00",
		"a long length that is short":         "0000004061 0700 0f ff 1500",
		"a length of 32 bits beyond the page": "0000004061 0700 0f ff 0000 ffffffff",
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(packed, " ", ""))
		require.NoError(t, err)
		require.ErrorIs(t, expand(dst, b), errXpress, name)
	}
}

// FuzzUnpack unpacks damaged blocks: pages or marks, and what is packed by us comes
// back.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{}, text(3000, 1))
	f.Add([]byte{0xfe, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{0})
	f.Add([]byte{0xfc, 0xff, 0xff, 0xff, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff}, []byte{1, 2, 3})
	dst := make([]byte, blockSize)
	f.Fuzz(func(t *testing.T, records, page []byte) {
		bad, err := unpack(dst, records)
		marked := false
		for i := range blockPages {
			marked = marked || bad.has(i)
		}
		require.Equal(t, err != nil, marked)
		if len(page) == 0 {
			return
		}
		got := make([]byte, len(page))
		require.NoError(t, expand(got, coretest.XpressPack(page)))
		require.True(t, bytes.Equal(page, got))
	})
}
