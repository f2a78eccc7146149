package stack_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/kdbg/unwind"
	"windmp/vtop"
)

// engineFrame is a line of the engine's k. The stack pointer is the frame's own, on x86
// its frame pointer; the return address is its caller's pc.
type engineFrame struct {
	sp, ret vtop.VA
	site    string
}

// engineFrames reads what the engine showed of each sample.
func engineFrames(t *testing.T) map[string][]engineFrame {
	t.Helper()
	text, err := os.ReadFile("testdata/engine-k.txt")
	require.NoError(t, err)
	frames, name := map[string][]engineFrame{}, ""
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(strings.ReplaceAll(line, "`", ""))
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			name = strings.Trim(line, "[]\n")
		default:
			require.Len(t, fields, 3, line)
			frames[name] = append(frames[name], engineFrame{address(t, fields[0]), address(t, fields[1]), fields[2]})
		}
	}
	return frames
}

func address(t *testing.T, text string) vtop.VA {
	t.Helper()
	v, err := strconv.ParseUint(text, 16, 64)
	require.NoError(t, err)
	return vtop.VA(v)
}

// TestEngine: the debugger engine shows the frames that windmp finds.
func TestEngine(t *testing.T) {
	t.Parallel()
	engine := engineFrames(t)
	require.Len(t, engine, 2)
	for name, frames := range engine {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCrashed(t, sampleGuest(t, name))
			trace := c.walk(t)
			var want, got []vtop.VA
			for i, f := range frames {
				if f.ret != 0 {
					want = append(want, f.ret)
				}
				if c.guest.Machine().Unwind == unwind.X64 {
					assert.Equal(t, f.sp, c.list[i].sp, "frame %d", i)
				}
			}
			for _, s := range trace.Steps {
				if c.guest.Machine().Unwind == unwind.X86 && s.How == unwind.MachineFrame {
					continue
				}
				got = append(got, s.Caller.PC)
			}
			assert.Equal(t, want, got)
		})
	}
}
