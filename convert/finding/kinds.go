package finding

import "windmp/physmem"

// Advice that several kinds share, and places that know better than their kind.
const (
	AdviceDumpAgain  = "Dump the guest again with all of its memory."
	AdviceCoreGaps   = adviceWholeGuest + "or accept a core with gaps: the pages left out."
	AdviceConvert    = "Convert the dump: if its memory has the right ones, windmp finds them. Otherwise dump the guest again with all of its memory."
	adviceHeaderNote = "The note is written by the virtio-win fwcfg driver, with QEMU's -device vmcoreinfo. Install it and dump again."

	// AdviceOtherCopy is for a file of which a disk does not give everything.
	AdviceOtherCopy = "The disk that the file is on fails: take another copy of it."
	// AdviceZeroed and AdviceDropped say what debuggers show of missing pages, and
	// AdviceHaveCopy how such a disk's are had.
	AdviceZeroed   = "Structures there read as zeros in WinDbg. "
	AdviceDropped  = "WinDbg will say that these pages are not available. "
	AdviceHaveCopy = "Take another copy of the file to have them."

	adviceHaveWhole  = "Dump the whole guest to have them."
	adviceWholeGuest = "Dump the whole guest (no begin/length filter, enough space), "
	adviceGaps       = "or accept a dump with gaps: zeros there, or the pages left out."
	adviceCopyAgain  = physmem.HintIncomplete
	adviceNoFormat   = "Unless it is raw memory all the same, leave the format out, and it is recognised."
	adviceLinux      = "Use crash or drgn for Linux guests."
	adviceHole       = "If another hole is known, give it."
	adviceNewHeader  = "Convert the dump: its header is written anew."
)

// Of the container.
var (
	Truncated     = declare("WD101", SeverityWarn, "The file is shorter than its tables say.", adviceCopyAgain)
	ContainerOdd  = declare("WD102", SeverityWarn, "A table entry of the container makes no sense and was left out: memory may be missing.", "")
	NotesUnusable = declare("WD103", SeverityWarn, "A note can't be read, occurs twice, or contradicts another: registers or the header may be missing.", "")
	LoadsDisagree = declare("WD104", SeverityWarn, "Two program headers give the same address different contents; the first was believed.", "")
	RawHole       = declare("WD105", SeverityInfo, "The raw file is assumed to leave out the hole below 4 GiB that machines usually have; the guest's own table of memory agrees.", adviceHole)
	RawHoleUnsure = declare("WD106", SeverityWarn, "The raw file is assumed to leave out the hole below 4 GiB that machines usually have, but the guest's own table of memory agrees only in part.", adviceHole)
	PagesUnplaced = declare("WD107", SeverityUnknown, "A table entry of a dump makes no sense: it is not known where the pages after it lie.", "")
	DamagedPages  = declare("WD108", SeverityWarn, "Pages of the container are damaged, or on bad sectors of a disk: they count as missing.", adviceCopyAgain)
	TornMemory    = declare("WD116", SeverityWarn, "The machine may have run while its memory was saved, or after it: pages are of different moments.", "Suspend the machine, or take a snapshot with its memory, and take the files of that.")
	FormatUntried = declare("WD117", SeverityInfo, "windmp reads this container by published descriptions, and was never tried on a file that the real program wrote.", "Compare what info says with what you know of the machine: memory, processors, Windows' build.")
	FileInUse     = declare("WD120", SeverityInfo, "Another program has the file open for writing, as QEMU's lock shows: a machine runs from it.", "Convert before its snapshot is deleted.")
	MemoryLater   = declare("WD121", SeverityInfo, "The file with the memory was written to long after the one with the processors: if the machine ran on, its pages are of later moments.", "If the file was only copied, without keeping its time, nothing is wrong. If the machine was resumed, suspend it or take a snapshot again.")
	FileChanged   = declare("WD122", SeverityWarn, "The file was written to while it was read: what was read of it may be of different moments.", "Wait until nothing writes to it, and try again.")

	Malformed       = declare("WD150", SeverityFail, "The container is damaged beyond use.", adviceCopyAgain)
	NotRecognised   = declare("WD151", SeverityFail, "The file has no format that windmp reads.", "")
	NotExamined     = declare("WD152", SeverityUnknown, "windmp can't read the contents of this dump: 32-bit Arm, Itanium, an impossible bitmap.", "Open it in WinDbg.")
	TrailingBytes   = declare("WD153", SeverityInfo, "Bytes follow the last page; readers ignore them.", "")
	HeaderOnly      = declare("WD154", SeverityInfo, "windmp can't read the contents of this dump, and shows its header.", "")
	EncryptedDump   = declare("WD155", SeverityFail, "The dump is encrypted: its header is plain, its memory is not.", "Decrypt it with KernelDumpDecrypt.exe of Microsoft's Debugging Tools and the key that it was encrypted for.")
	EncryptedMemory = declare("WD156", SeverityFail, "The guest's memory is encrypted (SEV, TDX): to its host all of it is noise.", "Have Windows write the dump.")
)

// Of the header.
var (
	NoHeader       = declare("WD201", SeverityInfo, "There is no Windows header note: the guest had no virtio-win fwcfg driver. windmp looks for Windows in memory.", "")
	NotWindows     = declare("WD202", SeverityFail, "The note is a Linux guest's.", adviceLinux)
	NoteSize       = declare("WD204", SeverityWarn, "The note is longer or shorter than a header, but has every field.", "")
	HeaderRepaired = declare("WD205", SeverityWarn, "A header field was wrong and was repaired.", "")
	HeaderBad      = declare("WD206", SeverityFail, "A header field can't be repaired.", AdviceDumpAgain)
	RunTableBad    = declare("WD207", SeverityFail, "No table of physical memory can be used: the kernel's own, the header's, and what the file holds all lack what debuggers need first.", AdviceDumpAgain)
	DTBMasked      = declare("WD208", SeverityInfo, "Flag bits were removed from DirectoryTableBase.", "")
	DTBReplaced    = declare("WD209", SeverityWarn, "The header's DirectoryTableBase was wrong; the System process' is used, or the CR3 of a vCPU that maps the kernel.", "")
	TimeUpdated    = declare("WD210", SeverityInfo, "Time and uptime were taken from KUSER_SHARED_DATA.", "")
	TimeStale      = declare("WD211", SeverityInfo, "KUSER_SHARED_DATA is not readable: the times are those of the guest driver's start.", "")
	FiveLevels     = declare("WD212", SeverityWarn, "The guest uses 5-level paging; debuggers that do not support it see no memory.", "Open it with a current WinDbg.")
	NoteUseless    = declare("WD213", SeverityWarn, "The guest's note is no header, or only part of one. windmp looks for Windows in memory.", adviceHeaderNote)
	NoteStale      = declare("WD214", SeverityWarn, "The header in the guest's note leads nowhere, or to a kernel of an earlier boot. It is not believed; windmp looks for Windows in memory.", "")
	NoteFills      = declare("WD215", SeverityInfo, "Fields that the guest's memory does not give were taken from a note that is otherwise not believed.", "")
	SplitTables    = declare("WD216", SeverityWarn, "Each half of the guest's addresses has page tables of its own (64-bit Arm with halves of 48 bits); debuggers that follow one root show no memory of processes.", "Make a small dump of it, for which debuggers walk no page tables.")
	HeaderBuilt    = declare("WD220", SeverityInfo, "The header was built from the guest's memory.", "")

	HeaderOdd            = declare("WD250", SeverityWarn, "A field of a dump's own header is wrong.", "")
	BadSignature         = declare("WD251", SeverityFail, "One of a dump's two signatures is wrong: debuggers reject it.", adviceCopyAgain)
	BadDumpType          = declare("WD252", SeverityFail, "The dump type is one that debuggers reject, or the file is not of that type.", adviceCopyAgain)
	HeaderTimeOdd        = declare("WD253", SeverityWarn, "The header's time is not set or not plausible.", adviceNewHeader)
	RunsOdd              = declare("WD254", SeverityInfo, "The run table of a dump is odd; debuggers ignore that.", "")
	RequiredSpaceOdd     = declare("WD255", SeverityInfo, "RequiredDumpSpace of a full dump is not where the pages end; debuggers ignore that.", "")
	OtherReaders         = declare("WD256", SeverityInfo, "WinDbg opens it, but another reader refuses it or loses pages.", "")
	HeaderContextForeign = declare("WD257", SeverityInfo, "The header's CONTEXT is no processor's: debuggers start on processor 0.", "")
	RunsLoseMemory       = declare("WD258", SeverityWarn, "The run table of a dump is wrong; debuggers may miss memory.", "")
	RequiredSpaceWrong   = declare("WD259", SeverityWarn, "RequiredDumpSpace of a bitmap dump is not the file's size; debuggers may not read the last pages.", adviceNewHeader)
	RequiredSpaceNone    = declare("WD260", SeverityFail, "RequiredDumpSpace of a bitmap dump leaves no room for pages; debuggers see no memory.", adviceNewHeader)
	NewerType            = declare("WD261", SeverityWarn, "The dump has a type that newer versions of WinDbg write (8, 9, 10); older debuggers do not open it.", "Open it with a current WinDbg, or convert it to a full dump.")
	OutOfRoom            = declare("WD262", SeverityWarn, "The header says that Windows ran out of space while it wrote the dump: memory may be missing.", "Give the page file or the dump file more room, or dump the guest from its host.")

	TriageCut       = declare("WD270", SeverityFail, "A triage dump does not end where its record says: debuggers reject it.", adviceCopyAgain)
	TriagePartBad   = declare("WD271", SeverityFail, "A part of a triage dump is missing, or not inside the file: debuggers reject it.", adviceCopyAgain)
	TriageUnmapped  = declare("WD272", SeverityFail, "The header of a triage dump names no parts, or does not say where KDBG is: debuggers open it and show nothing.", "Copy the file again. If it is the same, use another dump of this crash.")
	TriagePartLost  = declare("WD273", SeverityWarn, "A part of a triage dump is missing or can't be read: debuggers open the dump without it.", "")
	TriageProcessor = declare("WD274", SeverityWarn, "The processor of a triage dump is none of those that its header counts, or its KPRCB can't be read: debuggers show no registers.", "")
	TriageOdd       = declare("WD275", SeverityInfo, "Something in a triage dump is odd and does no harm: an empty data block, secondary data that ends early.", "")
	TriageDrivers   = declare("WD276", SeverityWarn, "The list of drivers of a triage dump is empty, or does not begin with the kernel: debuggers can't tell where the kernel is.", "")
	TriageException = declare("WD277", SeverityWarn, "The exception record of a triage dump is not the breakpoint that Windows writes: debuggers show another event.", "")
)

// Of KDBG and the kernel.
var (
	NoKDBG         = declare("WD301", SeverityFail, "There is no usable KDBG; each attempt is listed.", "WinDbg needs this block. Dump the guest again with all of its memory; if it was still booting or hibernating, dump it when it runs.")
	KDBGCopy       = declare("WD302", SeverityInfo, "KDBG at the header's address is unusable; the driver's decoded copy is used.", "")
	KDBGDecoded    = declare("WD303", SeverityInfo, "KDBG was encoded and is written decoded.", "")
	BugCheckUnread = declare("WD304", SeverityWarn, "The bug check data is not readable.", "The dump's bug check code is 0. Its stacks may show whether the guest had crashed.")
	ModuleList     = declare("WD305", SeverityWarn, "The module list breaks off.", "WinDbg will list only these modules. If the one that matters is not among them, dump the guest again with all of its memory.")
	KDBGFound      = declare("WD306", SeverityInfo, "KDBG was found where the header says.", "")
	BugCheckLive   = declare("WD307", SeverityInfo, "The guest had not crashed: the dump is marked LIVE_SYSTEM_DUMP (0x161).", "")

	GuestFound     = declare("WD320", SeverityInfo, "Windows was found without a header; the way and the place are given.", "")
	OtherSystem    = declare("WD321", SeverityFail, "This is no Windows guest: its memory holds another system's banner.", adviceLinux)
	NotBooted      = declare("WD322", SeverityFail, "Windows was not running: firmware, a boot loader, early boot, or resuming from hibernation.", "Dump the guest when it runs.")
	KernelUnmapped = declare("WD323", SeverityFail, "Memory holds a Windows kernel, but no page tables map it.", "Dump the guest again with all of its memory, or give the root of its page tables.")
	RootAbsent     = declare("WD324", SeverityFail, "The vCPUs' page tables are not in the file: it holds a part of memory.", "Dump the guest with all of its memory, without a begin and length.")
	SecureKernel   = declare("WD325", SeverityFail, "The vCPUs were stopped in the hypervisor or secure kernel (VBS), and Windows' page tables were not found.", "Dump the guest again, so that a vCPU is stopped in Windows itself, or give the root of its page tables.")
	GivenWrong     = declare("WD326", SeverityFail, "An address that was given, of the page tables, the kernel or KDBG, can't be right; the reason is given.", "Leave it out, or read the address from the guest's debugger.")
	FlagKept       = declare("WD327", SeverityInfo, "KDBG is written decoded, but the byte that says so could not be located with certainty.", "")
	TablesForeign  = declare("WD328", SeverityFail, "The guest uses page tables in a layout that windmp does not read; it is named.", "If this is a Windows guest, have Windows write the dump.")

	NoTables         = declare("WD350", SeverityFail, "The header's page tables map no structure of the kernel.", AdviceConvert)
	BlockUnread      = declare("WD351", SeverityWarn, "KDBG is not where the header says.", "Debuggers show no registers and no processes without it. Convert the dump: if its memory has the block, windmp finds it.")
	BlockEncoded     = declare("WD352", SeverityWarn, "KDBG is still encoded; debuggers do not decode it.", "Convert the guest's memory again; windmp writes the block decoded.")
	BlockOdd         = declare("WD353", SeverityWarn, "KDBG contradicts the header, the kernel's image, or itself.", "")
	SharedUnread     = declare("WD354", SeverityWarn, "KUSER_SHARED_DATA is not readable.", "")
	KernelImage      = declare("WD355", SeverityWarn, "The kernel's image headers are not readable, or it lies elsewhere than KDBG says.", "Symbols of the kernel must be chosen by hand.")
	ModuleName       = declare("WD356", SeverityInfo, "A module has no readable name.", "")
	ListUnread       = declare("WD357", SeverityInfo, "A lesser list, such as that of unloaded drivers, is not readable.", "")
	Checked          = declare("WD358", SeverityOK, "Everything that a quick check looks at is as debuggers need it.", "")
	BlockWithoutList = declare("WD359", SeverityFail, "KDBG names no module list: debuggers reject the dump.", AdviceDumpAgain)
	PlaceBeyond      = declare("WD360", SeverityWarn, "Page tables lead from what debuggers read first (modules, stacks) to pages beyond a dump's bitmap: they complain at every look.", "Do not believe what debuggers show of these places: the page tables were damaged in the guest, or the bitmap ends early.")
)

// Of the processors.
var (
	NoProcessors     = declare("WD401", SeverityFail, "No processor has usable structures.", "WinDbg rejects such a dump. Dump the guest again with all of its memory.")
	ProcessorsFewer  = declare("WD402", SeverityWarn, "NumberProcessors was not the kernel's own count of processors, or more than are usable, and was corrected.", "")
	ProcessorLeftOut = declare("WD403", SeverityWarn, "A processor is left out: its PRCB or Context pointer is null or unreadable. WinDbg shows no registers for it.", "")
	VCPUUnmatched    = declare("WD404", SeverityWarn, "vCPUs and processors do not pair up: their registers may be missing.", "")
	VCPUOrder        = declare("WD405", SeverityInfo, "The vCPUs are in another order and were matched by the addresses of KPCR and descriptor tables.", "")
	SavedInvalid     = declare("WD406", SeverityInfo, "A context that Windows saved at the crash is not valid; the vCPU's registers are shown.", "")
	RegistersLacking = declare("WD407", SeverityInfo, "Registers that the source does not carry show their values after reset.", "")
	NoVCPUState      = declare("WD408", SeverityWarn, "The source holds no vCPU registers.", "The dump shows the registers that Windows last saved, which is right for a guest that had crashed. Dump a running guest again, in a format that has registers.")
	ShownFirst       = declare("WD409", SeverityInfo, "Which processor is shown first, and why.", "")
	EditOutside      = declare("WD410", SeverityWarn, "An edit falls outside the dump's memory and was left out: registers may be stale.", "")
	SpecialsUnread   = declare("WD411", SeverityWarn, "The special registers of a processor can't be set.", "WinDbg will show stale control registers and descriptor tables of it. Dump the guest again with all of its memory to have them.")

	VCPUForeign   = declare("WD412", SeverityWarn, "A vCPU was stopped outside of this Windows: in a hypervisor (VBS), another guest, firmware, system management mode, or at the reset vector. Nothing of its registers is in the dump.", "The processor keeps the registers that Windows last saved. For the others, dump the guest again.")
	NoneInWindows = declare("WD413", SeverityWarn, "No vCPU is known to run this Windows: all registers are those that Windows last saved.", "Was the machine reset? If not, dump the guest again, so that a vCPU is stopped in Windows itself.")
	VCPUUnproved  = declare("WD414", SeverityWarn, "The source carries no system registers, so nothing proves which processors its vCPUs run: they are taken in order.", "Dump the guest in a format that has the control registers, such as QEMU's.")
	VCPUSpare     = declare("WD415", SeverityInfo, "A vCPU that this Windows does not use, or no longer uses, did something else; every processor has one.", "")

	NoStack      = declare("WD420", SeverityInfo, "No stack can be walked: the processor's registers, or the kernel's memory, are not known.", "")
	StackScanned = declare("WD421", SeverityInfo, "Frames of a stack were found by a scan, because unwind data is not in memory; they may not be real.", "")

	RootConfirmed = declare("WD440", SeverityInfo, "The source carries no system registers: the page tables that were found in memory are those that Windows saved of its processors.", "")

	NoRegisters = declare("WD450", SeverityWarn, "A processor of a dump has no readable registers.", "Debuggers show no registers for it. Convert the guest's memory again, if there is a core of it, or use another processor (~1s).")
	ContextOdd  = declare("WD451", SeverityWarn, "A processor's CONTEXT has impossible selectors or registers.", "Do not believe the registers that debuggers show of it. Look at another processor (~1s), or convert the guest's memory again.")
	SpecialsOdd = declare("WD452", SeverityWarn, "A processor's special registers or GDT can't be read, or lead elsewhere.", "Debuggers can't look up the code segment or the program counter. Look at another processor (~1s), or convert the guest's memory again.")
	NoThread    = declare("WD453", SeverityWarn, "A processor's current thread or process is not readable, or its page tables do not map the kernel.", "Debuggers can't set the process of this processor: choose one with !process 0 0 and .process /p.")
)

// Of memory.
var (
	Missing        = declare("WD501", SeverityFail, "Pages that the header lists are not in the source.", adviceWholeGuest+adviceGaps)
	Recovered      = declare("WD502", SeverityInfo, "Memory that no PT_LOAD covers was found in the file by its layout.", "")
	RecoveredVGA   = declare("WD503", SeverityWarn, "Memory below the VGA hole is in no PT_LOAD and was placed by a PC's layout, which the file's size confirms.", "Dump with paging off to have no doubt.")
	TooManyRuns    = declare("WD504", SeverityInfo, "Memory has more than 42 runs, which do not fit a full dump; a bitmap dump is written.", "")
	KernelPages    = declare("WD505", SeverityInfo, "What a kernel dump keeps and leaves out.", "User memory may still be in kernel buffers and caches: this is smaller, not anonymised.")
	TablesMissing  = declare("WD506", SeverityWarn, "Page tables of the kernel are not readable.", "Pages that they map may be missing from the dump. Choose a full dump.")
	ProcessList    = declare("WD507", SeverityWarn, "The process list breaks off.", "The page tables of some processes are not in the dump. Choose a full dump.")
	BitmapTooLarge = declare("WD508", SeverityFail, "Memory reaches beyond what readers of bitmap dumps support.", "Choose a full dump.")
	MissingZeroed  = declare("WD509", SeverityWarn, "Pages that the header lists are not in the source and are written as zeros, as was asked for.", AdviceZeroed+adviceHaveWhole)
	MissingDropped = declare("WD510", SeverityWarn, "Pages that the header lists are not in the source and are left out of the dump, as was asked for.", AdviceDropped+adviceHaveWhole)
	RunsDoNotFit   = declare("WD511", SeverityFail, "Memory has more than 42 runs, which do not fit the full dump that was asked for.", "Choose a bitmap dump.")
	RunsReplaced   = declare("WD512", SeverityWarn, "The header's table of memory differs from the kernel's own: it is older, was never set, or was changed. The kernel's is used.", "")
	RunsKept       = declare("WD513", SeverityInfo, "The kernel's own table of memory can't be used; the header's is used instead.", "")
	RunsCut        = declare("WD514", SeverityWarn, "Memory that the kernel's own table lists is neither in the source nor in the header's table, and is left out of the dump.", "Dump the whole guest to have it all.")
	MemoryCut      = declare("WD520", SeverityWarn, "Without a header of the guest's own, the dump lists only memory that the file holds; the rest is counted.", "Dump the whole guest, without a begin and length, to have it all.")
	MemoryGuessed  = declare("WD521", SeverityWarn, "The guest's own list of its memory is not readable; the dump lists what the file holds.", "Video memory or ROM may be among the dump's pages. Dump the guest again with all of its memory, or take the dump as it is.")
	PagesLacking   = declare("WD522", SeverityWarn, "A dump lacks pages that the kernel's own table of memory lists: memory was plugged in after its header was made, or the pages were left out.", "The dump does not have them: convert the guest's memory again, if there is a core of it.")
	PagesUnlisted  = declare("WD523", SeverityInfo, "A dump lists pages that the kernel's own table of memory does not: memory that was unplugged, or zeros between two pieces.", "")
	CPUsLacking    = declare("WD524", SeverityWarn, "A dump counts fewer processors than its kernel does.", "Debuggers do not show the others. Convert the guest's memory again, or the dump.")
	RunsBridged    = declare("WD525", SeverityWarn, "Memory has more runs than a full dump can list, and reaches beyond what a bitmap can: the nearest runs are joined in the dump, with zeros between them.", "What is read between them is no memory of the guest: do not believe zeros there.")
	RawHoleListed  = declare("WD526", SeverityInfo, "The raw file is assumed to leave out what the guest's own table of memory leaves out; then everything in that table is there.", adviceHole)
	TriageContents = declare("WD530", SeverityInfo, "A small dump has no room for everything that would be useful.", "Give it more room.")
	TriagePart     = declare("WD531", SeverityFail, "Something without which debuggers reject a small dump is not in memory.", "Choose a full dump.")
	TriageLacks    = declare("WD532", SeverityWarn, "A part of a small dump that debuggers show first is not in memory.", "")
	TriageStamp    = declare("WD533", SeverityInfo, "Drivers in a small dump have no timestamp: their headers are paged out, and the loader did not record it.", "Symbols of these must be chosen by hand.")
	TriageUser     = declare("WD534", SeverityInfo, "A small dump holds memory of a process, as was asked for.", "")
)

// Of the file as a whole.
var (
	TooLarge     = declare("WD601", SeverityFail, "The dump is larger than its receiver accepts.", "Compress it (a dump often shrinks to a third with zstd), or keep only the kernel's pages.")
	Unreadable   = declare("WD602", SeverityFail, "Pages of the file can't be read.", "Copy the file again, or dump again.")
	NoSymbols    = declare("WD603", SeverityWarn, "The symbols of some images are not known: their headers can't be read.", "They may be paged out; such a page is in no dump of memory. Symbols of these must be chosen by hand.")
	Leftover     = declare("WD604", SeverityInfo, "The unfinished output of a run that was killed was found beside the output and removed.", "")
	Undecided    = declare("WD605", SeverityUnknown, "A check that would fail the file does not count, because the file could not be read.", "")
	TriageFloor  = declare("WD610", SeverityFail, "A small dump can't be as small as was asked for.", "Give it more room.")
	TriageNoRoom = declare("WD611", SeverityInfo, "The report did not fit into the small dump.", "")
	LookEnded    = declare("WD620", SeverityUnknown, "A limit on time, or on bytes read, ended the look early: there may be more to find.", "Give it more time, or let it read more.")
)
