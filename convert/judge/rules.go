package judge

import "windmp/convert/finding"

// knowledge is what must be known of a dump before a rule can look at it. Each
// includes those before it.
type knowledge int

const (
	theHeader knowledge = iota // decoded
	thePages                   // the container is opened
	theMemory                  // the guest behind the header's page tables
	theBlock                   // its KDBG, without which the rule is passed over
)

// A rule looks at one thing of a dump.
type rule struct {
	needs knowledge
	// about says what it looks at; finds are the findings it may have.
	about string
	finds []finding.Kind
	// look adds what it finds; an error is the last word.
	look func(*subject) error
}

// rules are in the order in which they are applied, which is that of the findings.
var rules = []rule{
	{theHeader, "the signatures", []finding.Kind{finding.BadSignature}, (*subject).signatures},
	{theHeader, "the machine type", []finding.Kind{finding.HeaderBad, finding.NotExamined}, (*subject).machine},
	{theHeader, "the root of the page tables", []finding.Kind{finding.HeaderBad}, (*subject).root},
	{theHeader, "the number of processors", []finding.Kind{finding.HeaderBad}, (*subject).count},
	{theHeader, "the dump type", []finding.Kind{finding.BadDumpType, finding.NotExamined, finding.NewerType}, (*subject).dumpType},

	{thePages, "whether the file is cut", []finding.Kind{finding.Truncated}, (*subject).cut},
	{thePages, "how Windows wrote it", []finding.Kind{finding.OutOfRoom}, (*subject).room},
	{thePages, "fields of the header", []finding.Kind{finding.HeaderOdd, finding.OtherReaders}, (*subject).fields},
	{thePages, "the time", []finding.Kind{finding.HeaderTimeOdd}, (*subject).clock},
	{thePages, "what other readers want", []finding.Kind{finding.OtherReaders}, (*subject).readers},
	{thePages, "oddities of the container", []finding.Kind{finding.ContainerOdd, finding.PagesUnplaced, finding.NotesUnusable, finding.LoadsDisagree}, (*subject).oddities},
	{thePages, "where the pages lie", []finding.Kind{finding.RunsOdd, finding.RunsLoseMemory, finding.RequiredSpaceOdd, finding.RequiredSpaceWrong, finding.RequiredSpaceNone, finding.OtherReaders, finding.TrailingBytes}, (*subject).pages},
	{thePages, "the size of the file", []finding.Kind{finding.TooLarge}, (*subject).fits},

	{theMemory, "the paging mode", []finding.Kind{finding.FiveLevels, finding.SplitTables}, (*subject).levels},
	{theMemory, "the page tables", []finding.Kind{finding.NoTables}, (*subject).tables},
	{theMemory, "KDBG", []finding.Kind{finding.BlockUnread, finding.BlockEncoded}, (*subject).block},
	{theMemory, "KUSER_SHARED_DATA", []finding.Kind{finding.SharedUnread}, (*subject).shared},
	{theBlock, "fields of KDBG", []finding.Kind{finding.BlockWithoutList, finding.BlockOdd}, (*subject).blockFields},
	{theBlock, "the kernel's own table of memory", []finding.Kind{finding.PagesLacking, finding.PagesUnlisted}, (*subject).ownTable},
	{theMemory, "the modules", []finding.Kind{finding.ModuleList, finding.ModuleName}, (*subject).moduleList},
	{theMemory, "the kernel's image", []finding.Kind{finding.KernelImage}, (*subject).kernelImage},
	{theBlock, "KiProcessorBlock", []finding.Kind{finding.NoProcessors}, (*subject).processors},
	{theBlock, "the kernel's own count of processors", []finding.Kind{finding.CPUsLacking}, (*subject).ownCount},
	{theBlock, "the header's CONTEXT", []finding.Kind{finding.HeaderContextForeign}, (*subject).shown},
	{theBlock, "each processor", []finding.Kind{finding.NoRegisters, finding.ContextOdd, finding.SpecialsOdd, finding.NoThread}, (*subject).registers},
	{theMemory, "what debuggers read first, and the bitmap does not reach", []finding.Kind{finding.PlaceBeyond}, (*subject).beyond},
	{theMemory, "what the examination noticed", []finding.Kind{finding.HeaderOdd}, (*subject).examination},
	{theBlock, "all of it", []finding.Kind{finding.Checked}, (*subject).wholesome},
}
