package stack_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"windmp/convert/stack"
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

// TestEngine: the debugger engine shows the frames that windmp finds, of full dumps and of
// triage dumps.
func TestEngine(t *testing.T) {
	t.Parallel()
	engine := engineFrames(t)
	require.Len(t, engine, 5)
	for name, frames := range engine {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sample, dump, _ := strings.Cut(name, " ")
			c := openCrashed(t, sampleGuest(t, sample))
			s, _ := c.crash(t)
			ours := s.All()
			if dump == "triage" && c.guest.BugCheck().Code == 0x7e {
				ours = s.Frames
			}
			x86 := c.guest.Machine().Unwind == unwind.X86
			if x86 {
				ours = slices.DeleteFunc(ours, func(f stack.Frame) bool { return f.How == stack.How(unwind.MachineFrame) && f.PC != ours[0].PC })
			}
			require.Len(t, frames, len(ours))
			for i, f := range frames {
				if !x86 {
					assert.Equal(t, ours[i].SP, f.sp, "frame %d", i)
				}
				if i+1 < len(ours) {
					assert.Equal(t, ours[i+1].PC, f.ret, "frame %d", i)
				}
			}
			assert.Zero(t, frames[len(frames)-1].ret)
		})
	}
}
