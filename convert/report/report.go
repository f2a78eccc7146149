package report

import (
	"errors"
	"fmt"

	"windmp/convert/cause"
	"windmp/convert/finding"
	"windmp/convert/stage"
	"windmp/internal/pack"
	"windmp/physmem"
)

// ContextSource says whose registers a processor shows in the dump.
type ContextSource string

const (
	// FromVCPU is the state that the source recorded.
	FromVCPU ContextSource = "vcpu"
	// FromSaved is the CONTEXT that the guest's memory holds.
	FromSaved ContextSource = "saved"
	// FromForeign is the CONTEXT that the guest's memory holds, where the source has a
	// vCPU that was stopped outside of this Windows, or that does not prove which
	// processor it runs.
	FromForeign ContextSource = "foreign"
	// FromNone is a processor left out.
	FromNone ContextSource = "none"
)

// System says what Windows a source is of. What is not known is empty.
type System struct {
	// Machine is x64, x86 or arm64.
	Machine string `json:"machine"`
	// Name is the marketing name that goes with build and product.
	Name  string `json:"name,omitempty"`
	Build uint32 `json:"build,omitempty"`
	// Version is major.minor, as in "10.0".
	Version string `json:"version,omitempty"`
	// BuildLab is NtBuildLab, such as "19041.1.amd64fre.vb_release.191206-1406".
	BuildLab string `json:"build_lab,omitempty"`
	// Product is workstation, domain controller or server.
	Product    string `json:"product,omitempty"`
	SuiteMask  Hex    `json:"suite_mask"`
	SystemRoot string `json:"system_root,omitempty"`
	Processors uint32 `json:"processors,omitempty"`
	// SystemTime is RFC 3339, UTC; UpTime is in seconds.
	SystemTime         string  `json:"system_time,omitempty"`
	UpTime             float64 `json:"up_time,omitempty"`
	DirectoryTableBase Hex     `json:"directory_table_base"`
	PagingLevels       int     `json:"paging_levels,omitempty"`
	KDBG               Hex     `json:"kdbg"`
}

// BugCheckDetail is a bug check with what it means.
type BugCheckDetail struct {
	Code Hex `json:"code"`
	// Name is empty for a code that no list has.
	Name    string `json:"name,omitempty"`
	Summary string `json:"summary,omitempty"`
	// Crashed is false for a guest that was running.
	Crashed bool `json:"crashed"`
	// Source is memory (KiBugCheckData) or header.
	Source     string              `json:"source"`
	Parameters []BugCheckParameter `json:"parameters"`
}

// BugCheckParameter is one of the four.
type BugCheckParameter struct {
	Value   Hex    `json:"value"`
	Meaning string `json:"meaning,omitempty"`
}

// Improvement is a header field that the output states better than the guest's
// header did.
type Improvement struct {
	Field  string `json:"field"`
	From   string `json:"from"`
	To     string `json:"to"`
	Reason string `json:"reason"`
}

// Reason is why a header field of the output is not what the guest's header had.
type Reason struct {
	// Field is what reports call it: Windows' name.
	Field string
	Why   string
	// From and To stand for what the headers have, where that says little to people;
	// empty where it does not.
	From, To string
}

// KDBGSource says how the debugger data block was reached.
type KDBGSource string

const (
	// KDBGPlain is a plain block at header.KdDebuggerDataBlock.
	KDBGPlain KDBGSource = "header"
	// KDBGCopy is the decoded copy that the guest's driver keeps, whose address
	// it leaves in BugcheckParameter1 (virtio-win fwcfg64).
	KDBGCopy KDBGSource = "copy"
	// KDBGDecoded is the encoded block at header.KdDebuggerDataBlock, decoded
	// here; the output holds it decoded.
	KDBGDecoded KDBGSource = "decoded"
)

// The ways by which a kernel is found without a header.
const (
	// KDBGImage is the block in the kernel's image, to which a vCPU led.
	KDBGImage KDBGSource = "image"
	// KDBGScan is a block found by searching physical memory.
	KDBGScan KDBGSource = "scan"
	// KDBGGiven is the block at the address that the user gave.
	KDBGGiven KDBGSource = "given"
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

// Hex is a number that reports print in hex: JSON numbers lose bits above 2^53.
type Hex uint64

// MarshalText prints h as 0x and hex digits.
func (h Hex) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%#x", uint64(h)), nil }

// Report tells what a conversion found, decided and did. Its JSON names are
// stable; docs/schema has their JSON Schema.
type Report struct {
	Input  Input  `json:"input"`
	Output Output `json:"output"`
	// Verdict is OK, WARN, UNKNOWN or FAIL: the worst finding.
	Verdict string `json:"verdict"`
	// Error is set when the conversion did not succeed.
	Error *Error `json:"error,omitempty"`
	// Seconds is how long the conversion took.
	Seconds float64 `json:"seconds,omitempty"`
	// System and Bug say what info says of the source.
	System       *System           `json:"system,omitempty"`
	Bug          *BugCheckDetail   `json:"bug_check,omitempty"`
	Guest        *Guest            `json:"guest,omitempty"`
	Memory       *Memory           `json:"memory,omitempty"`
	Processors   []CPU             `json:"processors,omitempty"`
	Improvements []Improvement     `json:"improvements"`
	Edits        []Edit            `json:"edits"`
	Findings     []finding.Finding `json:"findings"`
}

// Input describes the source.
type Input struct {
	Path string `json:"path"`
	// Size is the file's, in bytes.
	Size   int64  `json:"size"`
	Format string `json:"format,omitempty"`
	// Description is the container in words.
	Description string `json:"description,omitempty"`
	VCPUs       int    `json:"vcpus"`
	// MemoryFile is the name of the file beside it that holds the memory, and that
	// offsets of memory are those of; empty where that is the input itself.
	MemoryFile string `json:"memory_file,omitempty"`
	// State is what the file says of itself as the state of a machine; nil if nothing.
	State *State `json:"state,omitempty"`
	// Transferred is how many bytes of a file behind a URL came over the network; absent
	// of others.
	Transferred int64 `json:"transferred,omitempty"`
}

// Output describes the dump.
type Output struct {
	Path string `json:"path"`
	// Written is true when the dump is complete under Path.
	Written bool `json:"written"`
	DryRun  bool `json:"dry_run"`
	// Exists is set in a dry run if Path is there, and the run would be refused.
	Exists   bool   `json:"exists,omitempty"`
	DumpType string `json:"dump_type,omitempty"`
	// Compression is how the file is packed; Size is that of the dump in it.
	Compression pack.Method `json:"compression,omitempty"`
	// Size is the dump's, in bytes.
	Size int64 `json:"size"`
	// FileSize is that of the file, packed if it is. OnDisk is what the file takes up
	// there, without its holes; 0 where the system does not tell. Both are 0 until it is
	// written, and of a stream.
	FileSize int64  `json:"file_size,omitempty"`
	OnDisk   int64  `json:"on_disk,omitempty"`
	Pages    uint64 `json:"pages"`
	Runs     int    `json:"runs"`
	// SHA256 is of the bytes that were written, 64 hex digits: of a packed file the
	// packed ones, so that it is what sha256sum says of Path. Empty where none was
	// taken.
	SHA256 string `json:"sha256,omitempty"`
	// LeftOut is the number of pages that a kernel dump leaves out.
	LeftOut uint64 `json:"left_out"`
	// Triage says what a small dump holds.
	Triage *Triage `json:"triage,omitempty"`
}

// LeftOutBytes is LeftOut in bytes.
func (o *Output) LeftOutBytes() uint64 { return o.LeftOut * physmem.PageSize }

// Error says what ended the conversion.
type Error struct {
	// Stage is the step of the run that failed.
	Stage string `json:"stage,omitempty"`
	// Message is one sentence for people, with the name of the file that it is about.
	Message string `json:"message"`
	// Hint is what can be done about it.
	Hint string `json:"hint,omitempty"`
	// Detail is where it was seen: all that the error says, with offsets and addresses.
	Detail string `json:"detail,omitempty"`
}

// Guest is what is known of Windows.
type Guest struct {
	// Machine is x64, x86 or arm64.
	Machine             string     `json:"machine"`
	Build               uint32     `json:"build"`
	DirectoryTableBase  Hex        `json:"directory_table_base"`
	PagingLevels        int        `json:"paging_levels,omitempty"`
	KernelBase          Hex        `json:"kernel_base"`
	KDBG                Hex        `json:"kdbg"`
	KDBGSource          KDBGSource `json:"kdbg_source,omitempty"`
	KDBGSize            int        `json:"kdbg_size,omitempty"`
	PsLoadedModuleList  Hex        `json:"ps_loaded_module_list"`
	PsActiveProcessHead Hex        `json:"ps_active_process_head"`
	Modules             int        `json:"modules"`
	NumberProcessors    uint32     `json:"number_processors"`
	BugCheck            *BugCheck  `json:"bug_check,omitempty"`
	// Signature is the same for equal crashes; absent if the guest did not crash.
	Signature *Signature `json:"signature,omitempty"`
	// SystemTime is RFC 3339, UTC.
	SystemTime string `json:"system_time,omitempty"`
	// UpTime is in seconds.
	UpTime float64 `json:"up_time,omitempty"`
}

// BugCheck is the bug check as the dump's header states it, but for the flag that a
// small dump's has in the code where it shows an exception.
type BugCheck struct {
	Code       Hex    `json:"code"`
	Parameters [4]Hex `json:"parameters"`
	// Crashed is false for a live guest.
	Crashed bool `json:"crashed"`
}

// Memory counts guest memory in bytes.
type Memory struct {
	// Listed is what the guest's header lists.
	Listed uint64 `json:"listed"`
	// Missing is what of it the source does not hold, in Ranges.
	Missing uint64      `json:"missing"`
	Policy  MissingMode `json:"policy"`
	Zeroed  uint64      `json:"zeroed"`
	Dropped uint64      `json:"dropped"`
	Ranges  []Range     `json:"missing_ranges,omitempty"`
	// Recovered is what was read from the file outside its PT_LOADs.
	Recovered uint64 `json:"recovered"`
}

// Range is a range of guest-physical memory.
type Range struct {
	PA   Hex    `json:"pa"`
	Size uint64 `json:"size"`
}

// CPU says whose registers the dump shows for a processor.
type CPU struct {
	Index int `json:"index"`
	// VCPU is the position in the source, -1 for none.
	VCPU int `json:"vcpu"`
	PRCB Hex `json:"prcb"`
	// Contexts says whose registers these are: vcpu, saved, foreign (those that memory
	// holds, where a vCPU was stopped outside of this Windows) or none.
	Contexts ContextSource `json:"contexts"`
	IP       Hex           `json:"rip"`
	SP       Hex           `json:"rsp"`
	// Differs is set when the saved context and the vCPU's state disagree.
	Differs bool `json:"differs"`
	// ShownFirst marks the processor that WinDbg starts on.
	ShownFirst bool   `json:"shown_first"`
	Note       string `json:"note,omitempty"`
}

// Edit is an edit of memory without its bytes: a report holds no guest memory.
type Edit struct {
	VA     Hex    `json:"va"`
	PA     Hex    `json:"pa"`
	Size   int    `json:"size"`
	Reason string `json:"reason"`
}

// New begins the report of a conversion of in to out; written is nothing yet.
func New(in, out string, dryRun bool) *Report {
	return &Report{
		Input:        Input{Path: in},
		Output:       Output{Path: out, DryRun: dryRun, Compression: pack.MethodOf(out)},
		Memory:       nil,
		Improvements: []Improvement{}, Edits: []Edit{}, Findings: []finding.Finding{},
	}
}

// DescribeImage says what the source is.
func (r *Report) DescribeImage(im *physmem.Image) { r.Input = OfImage(r.Input.Path, im) }

// Finish sets verdict and error.
func (r *Report) Finish(err error) {
	r.Verdict = finding.Verdict(r.Findings)
	if err == nil {
		return
	}
	r.Error = OfError(err)
	var format *physmem.FormatError
	switch {
	case errors.As(err, &format):
		r.Verdict = "FAIL"
	case r.Guest == nil && r.Verdict == "OK":
		r.Verdict = "UNKNOWN" // the guest was not reached
	}
}

// Signature is the same for equal crashes, nil if the guest did not crash.
func (r *Report) Signature() *Signature {
	if r.Guest == nil {
		return nil
	}
	return r.Guest.Signature
}

// OfError is err for a report: what it says to people, what can be done about it, and
// the stage that failed where it names one. It is nil for no error.
func OfError(err error) *Error {
	if err == nil {
		return nil
	}
	c := cause.Of(err)
	r := &Error{Message: c.Sentence, Hint: c.Hint, Detail: c.Detail}
	var st *stage.Error
	var usage *stage.UsageError
	switch {
	case errors.As(err, &st):
		r.Stage = string(st.Stage)
	case errors.As(err, &usage):
		r.Stage = string(stage.Usage)
	}
	return r
}

// OfImage describes an opened image.
func OfImage(path string, im *physmem.Image) Input {
	return Input{
		Path: path, Size: im.FileSize(), Format: string(im.Format()), Description: im.Describe(),
		VCPUs: len(im.CPUs()), MemoryFile: im.MemoryFile(), State: stateOf(im.State()),
	}
}
