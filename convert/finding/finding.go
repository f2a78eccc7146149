package finding

import (
	"fmt"
	"slices"
)

// Severity grades a [Finding].
type Severity string

const (
	// SeverityOK is something checked and found good.
	SeverityOK Severity = "ok"
	// SeverityInfo is worth knowing and costs the dump nothing.
	SeverityInfo Severity = "info"
	// SeverityWarn means that the dump opens but shows less, or that something
	// had to be repaired by a guess.
	SeverityWarn Severity = "warn"
	// SeverityUnknown means that a question could not be answered.
	SeverityUnknown Severity = "unknown"
	// SeverityFail means that no dump worth opening can be made.
	SeverityFail Severity = "fail"
)

// severities lists them from harmless to fatal.
var severities = []Severity{SeverityOK, SeverityInfo, SeverityWarn, SeverityUnknown, SeverityFail}

// Rank orders severities: the higher, the worse. It is -1 for what is none.
func (s Severity) Rank() int { return slices.Index(severities, s) }

// Finding is one thing that a person or a pipeline should know of a file. It is
// made by [Kind.At]. The ID never changes its meaning, and has one severity; the
// sentence may change.
type Finding struct {
	// ID is WD and three digits; the first says the part: 1 container, 2 header,
	// 3 KDBG and the kernel, 4 processors, 5 memory, 6 the file as a whole.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Message is one sentence: what was seen and, where it applies, what was
	// expected.
	Message string `json:"message"`
	// Where names the address or offset, with its space; empty when the finding
	// is about the whole file.
	Where string `json:"where,omitempty"`
	// Advice says what the reader can do; empty when nothing needs doing.
	Advice string `json:"advice,omitempty"`
}

// The finding IDs. docs/findings.md explains each; a test keeps it complete.
const (
	// Container.
	IDTruncated     = "WD101" // the file ends before what its tables promise
	IDContainerOdd  = "WD102" // a table or note of the container is odd but usable
	IDNotesUnusable = "WD103" // notes that could not be read
	IDLoadsDisagree = "WD104" // two PT_LOADs give one address different contents
	IDRawHole       = "WD105" // a hole that raw memory is taken to have

	// Header.
	IDNoHeader       = "WD201" // no Windows header note
	IDNotWindows     = "WD202" // the note is another system's
	IDNoteSize       = "WD204" // the note has an unusual size
	IDHeaderRepaired = "WD205" // a header field was repaired
	IDHeaderBad      = "WD206" // a header field can't be repaired
	IDRunTable       = "WD207" // the run table can't be used
	IDDTBMasked      = "WD208" // flag bits removed from DirectoryTableBase
	IDDTBReplaced    = "WD209" // DirectoryTableBase was wrong, a vCPU's CR3 is used
	IDTimeUpdated    = "WD210" // time and uptime taken from KUSER_SHARED_DATA
	IDFiveLevels     = "WD212" // 5-level paging, which old debuggers do not know
	IDTimeStale      = "WD211" // KUSER_SHARED_DATA is unreadable, times are the driver's

	IDHeaderBuilt = "WD220" // the header was built from memory

	IDHeaderOdd = "WD250" // a field of a dump's header is wrong

	// KDBG.
	IDNoKDBG         = "WD301" // no usable KDDEBUGGER_DATA64
	IDKDBGCopy       = "WD302" // the decoded copy is used
	IDKDBGDecoded    = "WD303" // the block was decoded in place
	IDBugCheckUnread = "WD304" // the bug check data is unreadable
	IDModuleList     = "WD305" // the module list is broken or incomplete
	IDKDBGFound      = "WD306" // where the block was found
	IDBugCheckLive   = "WD307" // the guest had not crashed

	// The search for a guest without a header.
	IDGuestFound     = "WD320" // by which way Windows was found
	IDOtherSystem    = "WD321" // the guest is not Windows
	IDNotBooted      = "WD322" // Windows was not running yet
	IDKernelUnmapped = "WD323" // no page tables map the kernel
	IDRootAbsent     = "WD324" // the vCPUs' page tables are not in the file
	IDSecureKernel   = "WD325" // the vCPUs were in the hypervisor or secure kernel
	IDOverride       = "WD326" // an address that was given can't be right
	IDFlagKept       = "WD327" // KdpDataBlockEncoded could not be cleared

	// Processors.
	IDNoProcessors     = "WD401" // KiProcessorBlock gives no usable processor
	IDProcessorsFewer  = "WD402" // NumberProcessors was lowered
	IDProcessorLeftOut = "WD403" // a processor without usable structures
	IDVCPUUnmatched    = "WD404" // vCPUs and processors do not pair up
	IDVCPUOrder        = "WD405" // vCPUs were matched by GS base
	IDSavedInvalid     = "WD406" // a saved CONTEXT is not valid, the vCPU's is used
	IDRegistersLacking = "WD407" // registers the source does not carry
	IDNoVCPUState      = "WD408" // the source has no vCPU registers
	IDShownFirst       = "WD409" // which processor is shown first
	IDEditOutside      = "WD410" // an edit falls outside the dump's memory
	IDSpecialsUnread   = "WD411" // the special registers can't be set

	// Memory.
	IDMissing        = "WD501" // pages of the run table are not in the source
	IDRecovered      = "WD502" // memory between PT_LOADs was recovered
	IDRecoveredVGA   = "WD503" // memory below the VGA hole was placed by a PC's layout
	IDTooManyRuns    = "WD504" // more than 42 runs
	IDKernelPages    = "WD505" // what a kernel dump keeps
	IDTablesMissing  = "WD506" // page tables of the kernel are unreadable
	IDProcessList    = "WD507" // the process list breaks off
	IDBitmapTooLarge = "WD508" // memory reaches beyond what a bitmap can list
	IDMemoryCut      = "WD520" // a built header lists only memory that the file holds
	IDMemoryGuessed  = "WD521" // the guest's list of its memory is not readable
)

// Findings of a check of a Windows dump, and of any file as a whole.
const (
	IDMalformed     = "WD150" // the container is damaged beyond use
	IDNotRecognised = "WD151" // no format that windmp reads
	IDNotExamined   = "WD152" // a dump whose contents windmp does not read
	IDTrailing      = "WD153" // bytes behind the last page

	IDSignature     = "WD251" // a signature of a dump is wrong
	IDDumpType      = "WD252" // a dump type that no debugger opens
	IDHeaderTime    = "WD253" // the header's time is not plausible
	IDRuns          = "WD254" // the run table of a dump is odd
	IDRequiredSpace = "WD255" // RequiredDumpSpace is not the file's size
	IDReaders       = "WD256" // what other readers than Microsoft's refuse
	IDHeaderContext = "WD257" // the header's CONTEXT is no processor's

	IDNoTables     = "WD350" // the header's page tables map nothing
	IDBlockUnread  = "WD351" // KDBG is not where the header says
	IDBlockEncoded = "WD352" // KDBG is encoded in a dump
	IDBlockOdd     = "WD353" // KDBG contradicts the header or the kernel
	IDSharedUnread = "WD354" // KUSER_SHARED_DATA is not readable
	IDKernelImage  = "WD355" // the kernel is not an image, or elsewhere
	IDModuleName   = "WD356" // a module without a readable name
	IDListUnread   = "WD357" // a lesser list is not readable
	IDChecked      = "WD358" // all that a quick check looks at is well

	IDNoRegisters = "WD450" // a processor of a dump has no registers
	IDSelectors   = "WD451" // a CONTEXT's selectors or registers are not plausible
	IDSpecials    = "WD452" // special registers or GDT are not readable
	IDNoThread    = "WD453" // a processor's thread or process is not readable

	IDTooLarge   = "WD601" // larger than the receiver takes
	IDUnreadable = "WD602" // pages that can't be read
	IDNoSymbols  = "WD603" // images whose symbols can't be told
	IDLeftover   = "WD604" // what a killed run left was removed
)

// List collects what a stage finds, in order.
type List struct{ All []Finding }

// Add appends f.
func (fs *List) Add(f Finding) { fs.All = append(fs.All, f) }

// addf appends a finding made from parts; where and advice may be empty.
func (fs *List) Addf(id string, sev Severity, where, advice, format string, args ...any) {
	fs.Add(Finding{ID: id, Severity: sev, Where: where, Advice: advice, Message: fmt.Sprintf(format, args...)})
}

// Worst is the highest severity in list, [SeverityOK] when it is empty.
func Worst(list []Finding) Severity {
	w := SeverityOK
	for _, f := range list {
		if f.Severity.Rank() > w.Rank() {
			w = f.Severity
		}
	}
	return w
}

// Verdict folds severities into the four words that people see, OK, WARN, UNKNOWN
// and FAIL: an info finding leaves a file OK.
func Verdict(list []Finding) string {
	switch Worst(list) {
	case SeverityFail:
		return "FAIL"
	case SeverityUnknown:
		return "UNKNOWN"
	case SeverityWarn:
		return "WARN"
	case SeverityOK, SeverityInfo:
		return "OK"
	default:
		return "UNKNOWN"
	}
}
