package stack

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"windmp/kdbg"
	"windmp/kdbg/unwind"
	"windmp/vtop"
)

// TestMachineFrame: what an interrupt stopped is the crash only where the bug check is
// about it, and where no driver stands between, which raised the bug check itself.
func TestMachineFrame(t *testing.T) {
	t.Parallel()
	const nt, hal, driver = 0xfffff80000000000, 0xfffff80001000000, 0xfffff80002000000
	w := &Walker{modules: []kdbg.Module{
		{Base: nt, Size: 0x100000, Name: "renamed.exe"}, {Base: hal, Size: 0x1000, Name: "HAL.dll"}, {Base: driver, Size: 0x1000, Name: "gizmo.sys"},
	}}
	frame := func(pc vtop.VA, how unwind.How) Frame { return Frame{Frame: unwind.Frame{PC: pc}, How: How(how)} }
	interrupted := frame(driver+0x10, unwind.MachineFrame)
	user := frame(0x401000, unwind.MachineFrame)
	user.User = true
	for _, tt := range []struct {
		name   string
		about  bool
		frames []Frame
		want   int
	}{
		{"the kernel between", true, []Frame{frame(nt+1, ""), frame(hal+1, unwind.Unwind), interrupted}, 2},
		{"not about it", false, []Frame{frame(nt+1, ""), frame(nt+2, unwind.Unwind), interrupted}, 0},
		{"a driver between", true, []Frame{frame(nt+1, ""), frame(driver+1, unwind.Unwind), interrupted}, 0},
		{"code of no module between", true, []Frame{frame(nt+1, ""), frame(0xffffb00000000000, unwind.Unwind), interrupted}, 0},
		{"a process", true, []Frame{frame(nt+1, ""), user}, 0},
		{"none", true, []Frame{frame(nt+1, ""), frame(nt+2, unwind.Unwind)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &crash{Walker: w, bc: &kdbg.BugCheck{Code: 0x7f}, meaning: meaning{interrupted: tt.about}}
			assert.Equal(t, tt.want, c.machineFrame(tt.frames))
		})
	}
}
