package stack

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/kdbg"
	"windmp/vtop"
)

// lines are those of a table that are no comments.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// TestBugCheckTable: every line is one, by ascending codes.
func TestBugCheckTable(t *testing.T) {
	t.Parallel()
	last := int64(-1)
	for _, line := range lines(bugChecksText) {
		code, _, err := parseMeaning(line)
		require.NoError(t, err)
		assert.Greater(t, int64(code), last, line)
		last = int64(code)
	}
	for _, bad := range []string{"", "7e", "7e context", "7e context=5", "7e context=0", "7e context=12", "zz victim", "7e stack=1", "17e000000 victim"} {
		_, _, err := parseMeaning(bad)
		require.Error(t, err, bad)
	}
	assert.Equal(t, meaning{instruction: 2, record: 3, context: 4, exception: true}, meaningOf(0x1000007e))
	assert.Equal(t, meaning{}, meaningOf(0xdeaddead))
	assert.Equal(t, uint32(0xdeaddead), calledCode(0xdeaddead))
	assert.Equal(t, uint32(0xea), calledCode(0x100000ea))
}

// TestInModule: an address is named as debuggers name it, whatever the file is called.
func TestInModule(t *testing.T) {
	t.Parallel()
	modules := []kdbg.Module{
		{Name: "ntkrnlmp.exe", Base: 0x1000, Size: 0x1000},
		{Name: `\SystemRoot\drivers\FwCfg.SYS`, Base: 0x4000, Size: 0x1000},
		{Name: "nt.sys", Base: 0x6000, Size: 0x1000},
		{Base: 0x8000, Size: 0x1000},
	}
	for va, want := range map[vtop.VA]string{
		0x1234: "nt+0x234", 0x4000: "FwCfg+0x0", 0x6010: "nt.sys+0x10", 0x8001: "unnamed+0x1", 0x3fff: "", 0x9000: "",
	} {
		assert.Equal(t, want, InModule(modules, va), "%#x", va)
	}
}

// TestModuleTable: names in lower case without a path, sorted, each once; and none is a
// name of the kernel's file, which its place in the list tells.
func TestModuleTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, line := range lines(modulesText) {
		word, name, ok := strings.Cut(line, " ")
		require.True(t, ok, line)
		assert.Contains(t, ranks, word)
		assert.Equal(t, fileOf(name), name)
		assert.False(t, seen[name], name)
		assert.False(t, strings.HasPrefix(name, "nt") && strings.HasSuffix(name, ".exe"), name)
		seen[name] = true
	}
}

func TestRankOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]rank{
		"hal.dll": core, "HAL.DLL": core, `\SystemRoot\System32\Drivers\Ndis.SYS`: system, "ndis.sys": system,
		"kd_02_8086.dll": core, "kd_evil.dll": other, "ndis": other, "ndis.sys.sys": other, "xndis.sys": other,
		"ntoskrnl.exe": other, "": other, "nvlddmkm.sys": other, "gizmo.sys": other, "sprocket.sys": other,
		"dir/ndis.sys": system, "ndis.sys\\": other, "kd_02_8087.dll": other,
	} {
		assert.Equal(t, want, rankOf(name), name)
	}
}

func TestShortName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"ndis.sys": "ndis", "HAL.DLL": "HAL", "a.b.exe": "a.b", ".sys": ".sys", "": "", "x.bin": "x.bin", `C:\d\x.sys`: "x",
	} {
		assert.Equal(t, want, shortName(name), name)
	}
}

// TestPage: docs/signature.md says what the tables have.
func TestPage(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/signature.md")
	require.NoError(t, err)
	page := string(b)
	section := func(from, to string) []string {
		_, rest, ok := strings.Cut(page, from)
		require.True(t, ok, from)
		text, _, ok := strings.Cut(rest, to)
		require.True(t, ok, to)
		var codes []string
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,.();:\n", r) }) {
			if strings.HasPrefix(word, "0x") {
				codes = append(codes, word)
			}
		}
		return codes
	}
	codes := func(of func(meaning) bool) []string {
		var list []uint32
		for code, m := range meanings() {
			if of(m) {
				list = append(list, code)
			}
		}
		slices.Sort(list)
		out := make([]string, 0, len(list))
		for _, code := range list {
			out = append(out, fmt.Sprintf("%#x", code))
		}
		return out
	}
	assert.Equal(t, codes(func(m meaning) bool { return m.exception }), section("small dump's header says 0x1000007e.", "the exception's code follows"))
	assert.Equal(t, codes(func(m meaning) bool { return m.driver != 0 }), section("points into the driver", "it is that driver"))
	assert.Equal(t, codes(func(m meaning) bool { return m.processor != 0 }), section("\nFor ", "it is the stack of the processor"))
	assert.Equal(t, codes(func(m meaning) bool { return m.thread != 0 }), section("processor that hangs, for", "that of the thread"))
	assert.Equal(t, codes(func(m meaning) bool { return m.interrupted }), section("do not count, except for", "which are about that"))
	assert.Equal(t, codes(func(m meaning) bool { return m.victim }), section("`may_be_victim`:", ", and 0x50"))
	assert.Equal(t, codes(func(m meaning) bool { return m.victimInCore }), section("0x13a, and ", "where the instruction is in the core"))
	for _, chosen := range []Chosen{ByParameter, ByInstruction, ByFrame, ByScan, ByKernel} {
		assert.Contains(t, page, "`"+string(chosen)+"`")
		assert.NotEmpty(t, reasons[chosen])
	}
	// ndis is one of the lists, whatever rule it was named by; a driver that is no longer
	// loaded is in none.
	own := Signature{Chosen: ByFrame, Place: Place{Name: "ndis", File: "NDIS.SYS"}}
	assert.Equal(t, ownReasons[ByFrame], own.reason())
	own.Place.module = -1
	assert.Equal(t, reasons[ByFrame], own.reason())
}
