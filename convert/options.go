package convert

import (
	"fmt"
	"strings"

	"windmp/physmem"
)

// ContextMode says which registers the dump shows for each processor.
type ContextMode string

const (
	// ContextsAuto takes the vCPU's state of a live guest. Of a crashed guest it
	// keeps the CONTEXT that Windows itself saved for a processor where that is
	// valid, as Windows' own MEMORY.DMP would hold it, else the vCPU's.
	ContextsAuto ContextMode = "auto"
	// ContextsVCPU always takes the vCPU's state, as QEMU's win-dmp does.
	ContextsVCPU ContextMode = "vcpu"
	// ContextsSaved never overwrites what the guest's memory holds.
	ContextsSaved ContextMode = "saved"
)

// MissingMode says what happens to pages that the header lists and the source
// does not hold.
type MissingMode string

const (
	// MissingFail refuses to convert and names the missing ranges.
	MissingFail MissingMode = "fail"
	// MissingZero writes zeros in their place; the report counts them.
	MissingZero MissingMode = "zero"
	// MissingDrop trims the run table so that the dump does not list them.
	MissingDrop MissingMode = "drop"
)

// OutputType is the type of dump that is written.
type OutputType string

const (
	// OutputAuto is a full dump, or a bitmap dump when the guest's memory lies in
	// more runs than a full dump can list.
	OutputAuto OutputType = "auto"
	// OutputFull is DumpType 1: every page that the guest's memory descriptor
	// lists, 42 runs at most.
	OutputFull OutputType = "full"
	// OutputBitmap is DumpType 5: the same pages, any number of runs. Debuggers
	// older than Windows 8's do not read it.
	OutputBitmap OutputType = "bitmap"
	// OutputKernel is DumpType 6: the pages that the kernel's half of the address
	// space maps, and the page tables to it.
	OutputKernel OutputType = "kernel"
)

// SourceOptions say how a source is opened.
type SourceOptions struct {
	// Input says what the source itself does not: its format and, of raw memory,
	// its holes.
	Input physmem.Options
	// TempDir is where a packed source is unpacked to; empty means the system's
	// folder for temporary files.
	TempDir string
	// Progress is as that of [Options].
	Progress func(Progress)
}

// GuestOptions are what the user knows of the guest: the physical address of the
// kernel's page tables (a CR3 value), and the virtual addresses of the kernel's
// image and of KDDEBUGGER_DATA64. 0 is not known. Each is checked, and refused
// when it can't be right.
type GuestOptions struct {
	DTB, KernelBase, KDBG uint64
	// Progress is as that of [Options].
	Progress func(Progress)
}

// PlanOptions choose what the output holds. The zero value means: a full dump,
// contexts auto, missing pages refuse.
type PlanOptions struct {
	// Contexts chooses the registers of each processor; empty means auto.
	Contexts ContextMode
	// Missing chooses what happens to pages the source lacks; empty means fail.
	Missing MissingMode
	// To chooses the container; empty means a Windows dump. An ELF core takes no
	// account of Type, Contexts and Missing: it holds what the source holds.
	To OutputFormat
	// Type chooses the type of dump; empty means auto.
	Type OutputType
	// KeepProcesses are the ids of processes whose user memory a kernel dump
	// keeps as well.
	KeepProcesses []uint64
	// Strict makes a finding of severity warn refuse the conversion, before
	// anything is written.
	Strict bool
}

// WriteOptions choose how the output is written. The zero value means: never
// overwrite, two workers, fsync before the rename.
type WriteOptions struct {
	// Force allows an existing regular output file to be replaced.
	Force bool
	// Workers is the number of parallel copiers; 0 means [DefaultWorkers], of a
	// kdump-compressed source one for each processor.
	// Values above [MaxWorkers] are lowered to it.
	Workers int
	// Sparse chooses what becomes of zeros in a file; empty means auto.
	Sparse SparseMode
	// NoSync leaves out the fsync of the file and its folder.
	NoSync bool
	// Progress is as that of [Options].
	Progress func(Progress)
}

// Options steer a conversion, by what they are about.
type Options struct {
	Source SourceOptions
	Guest  GuestOptions
	Plan   PlanOptions
	Write  WriteOptions
	// DryRun stops after the plan: nothing is created.
	DryRun bool
	// Progress, when set, is called from one goroutine at a time: when a stage
	// begins, where it counts bytes about ten times a second, and at its end. It
	// stands for those of the parts.
	Progress func(Progress)
}

// overrides tells whether the user says something of the guest.
func (o *GuestOptions) overrides() bool { return o.DTB != 0 || o.KernelBase != 0 || o.KDBG != 0 }

// checkInput is a [*UsageError] where the input's options make no sense.
func (o *SourceOptions) checkInput() error {
	if err := o.Input.Check(); err != nil {
		return &UsageError{Reason: err.Error()}
	}
	return nil
}

// contexts is the mode in force.
func (o PlanOptions) contexts() ContextMode {
	if o.Contexts == "" {
		return ContextsAuto
	}
	return o.Contexts
}

// missing is the mode in force.
func (o PlanOptions) missing() MissingMode {
	if o.Missing == "" {
		return MissingFail
	}
	return o.Missing
}

// outputType is the type in force.
func (o PlanOptions) outputType() OutputType {
	if o.Type == "" {
		return OutputAuto
	}
	return o.Type
}

// UsageError is an option or argument that makes no sense. The command line
// turns it into exit code 2.
type UsageError struct {
	Reason string
	Hint   string
}

func (e *UsageError) Error() string { return e.Reason }

// ParseContextMode reads a mode's name; the error is a [*UsageError].
func ParseContextMode(s string) (ContextMode, error) {
	return parseMode("contexts", s, ContextsAuto, ContextsVCPU, ContextsSaved)
}

// ParseMissingMode reads a mode's name; the error is a [*UsageError].
func ParseMissingMode(s string) (MissingMode, error) {
	return parseMode("missing", s, MissingFail, MissingZero, MissingDrop)
}

// ParseOutputType reads a type's name; the error is a [*UsageError].
func ParseOutputType(s string) (OutputType, error) {
	return parseMode("type", s, OutputAuto, OutputFull, OutputBitmap, OutputKernel)
}

func parseMode[M ~string](option, s string, modes ...M) (M, error) {
	names := make([]string, 0, len(modes))
	for _, m := range modes {
		if s == string(m) {
			return m, nil
		}
		names = append(names, string(m))
	}
	return "", &UsageError{Reason: fmt.Sprintf("--%s %q is not one of %s", option, s, strings.Join(names, ", "))}
}
