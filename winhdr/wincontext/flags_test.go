package wincontext

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/winhdr/problem"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	flags := map[ContextFlags]string{
		0x10001f:            "AMD64|CONTROL|INTEGER|SEGMENTS|FLOATING_POINT|DEBUG_REGISTERS",
		0x100007:            "AMD64|CONTROL|INTEGER|SEGMENTS",
		ContextControl:      "AMD64|CONTROL",
		ContextAMD64 | 0x40: "AMD64|0x40",
		0x10007:             "CONTROL|INTEGER|SEGMENTS|0x10000",
		0:                   "0x0",
	}
	for f, want := range flags {
		assert.Equal(t, want, f.String())
	}
	assert.Equal(t, "0x10001f", problem.Hex(ContextQEMU), "WIN_CTX64_ALL of QEMU's win_dump_defs.h")
}
