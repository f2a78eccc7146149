package triage

import (
	"fmt"
	"slices"

	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/kdbg"
	"windmp/vtop"
)

// keepProcess lets in memory of a process, if that is asked for. The dump has memory
// by virtual address, so that it can only be that of one: the one in whose address
// space the shown processor was.
func (p *planner) keepProcess() error {
	if len(p.opt.KeepProcesses) == 0 {
		return nil
	}
	list, err := p.view.kernel.Processes()
	i := slices.IndexFunc(list, func(x kdbg.Process) bool { return x.EPROCESS == p.current.Process && x.DirectoryTable != 0 })
	if i < 0 {
		return &stage.UsageError{Reason: fmt.Sprintf("no process can be kept: that of the shown processor is not in the guest's list (%v)", err)}
	}
	own := list[i]
	for _, pid := range p.opt.KeepProcesses {
		if pid != own.PID {
			return &stage.UsageError{Reason: fmt.Sprintf("the process to keep %d: a triage dump can hold memory of the shown processor's process alone, which is %d (%s)", pid, own.PID, finding.Quote(own.Name))}
		}
	}
	p.kept, p.peb = own.PID, own.Peb
	p.view.user = p.view.kernel.Space.At(own.DirectoryTable)
	p.Add(finding.TriageUser.At("", "user memory of process %d (%s) may be in the dump: where registers, parameters and pointers on the stack lead to, and its environment blocks", own.PID, finding.Quote(own.Name)))
	return nil
}

// blockSize is what is kept of the environment blocks of process and thread, bytes.
const blockSize = 2 * pageSize

// takeProcess is the memory of the process that is kept, beside what registers and
// pointers lead to.
func (p *planner) takeProcess() {
	if p.view.user == nil {
		return
	}
	p.take(UserMemory, p.peb, blockSize)
	k := p.view.kernel
	if at := k.Data.OffsetKThreadTeb; at != 0 {
		if teb, err := k.Pointer(p.current.Thread + vtop.VA(at)); err == nil {
			p.take(UserMemory, teb, blockSize)
		}
	}
}
