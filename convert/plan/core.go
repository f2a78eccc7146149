package plan

import (
	"windmp/convert/dump"
	"windmp/convert/finding"
	"windmp/convert/machine"
	"windmp/convert/stage"
	"windmp/physmem"
)

// OutputFormat is the container that is written.
type OutputFormat string

const (
	// FormatDMP is a Windows crash dump.
	FormatDMP OutputFormat = "dmp"
	// FormatELF is an ELF core of the machine, as QEMU's dump-guest-memory lays
	// it out, for the tools of the Linux world.
	FormatELF OutputFormat = "elf"
)

// ParseOutputFormat reads a format's name; the error is a [*UsageError].
func ParseOutputFormat(s string) (OutputFormat, error) {
	return stage.ParseMode("to", s, FormatDMP, FormatELF)
}

// planCore plans an ELF core: all memory that the source holds, unchanged, the
// registers of each processor, and the dump header as the VMCOREINFO note, so
// that the core becomes the same dump again.
func (p *Plan) planCore() error {
	g := p.Guest
	p.memory = memoryPlan{runs: physmem.RunsOf(g.Image.Ranges())}
	if len(p.memory.runs) == 0 {
		return p.Refuse(finding.Missing.WithAdvice("").At("", "the source holds no whole page of the guest's memory"), nil)
	}
	note := g.Image.DumpHeader()
	if note == nil {
		note = g.Header.Encode()
	}
	layout, err := dump.NewELF(g.Machine().Core, p.memory.runs, p.coreCPUs(), note)
	if err != nil {
		return p.refuseLayout(err)
	}
	p.layout, p.Size = layout, layout.Size()
	return nil
}

// coreCPUs is the state of the processors: what the source recorded, else what
// the guest's memory holds of each.
func (p *Plan) coreCPUs() []physmem.CPU {
	g := p.Guest
	if cpus := g.Image.CPUs(); len(cpus) > 0 {
		return cpus
	}
	var list []physmem.CPU
	for i := range g.Processors {
		proc := &g.Processors[i]
		if proc.Saved == nil || proc.Specials == nil {
			p.Add(finding.ProcessorLeftOut.At("VA "+proc.PRCB.String(), "processor %d has no registers in the core: %v", proc.Index, proc.SavedErr))
			break // the notes are matched by position
		}
		c := g.Machine().CPU(machine.Saved{
			Context: proc.Saved, Specials: proc.Specials, PCR: proc.PCR,
			Mode: g.Memory.Space.Mode, Task: g.Memory.TaskSegment,
		})
		c.Index = i
		list = append(list, c)
	}
	return list
}
