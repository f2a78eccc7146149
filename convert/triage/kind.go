package triage

// A Kind is what a part of the dump is for. Its text is what reports call it.
type Kind string

// The kinds, in the order of what they are worth to a debugger.
const (
	Headers       Kind = "headers"
	Processor     Kind = "processor"
	Process       Kind = "process"
	Thread        Kind = "thread"
	Stack         Kind = "stack"
	DebuggerData  Kind = "debugger-data"
	Drivers       Kind = "drivers"
	Unloaded      Kind = "unloaded-drivers"
	Report        Kind = "report"
	Variables     Kind = "kernel-variables"
	SharedData    Kind = "shared-data"
	Code          Kind = "code"
	Parameters    Kind = "parameters"
	RegisterPages Kind = "register-pages"
	Stacks        Kind = "other-stacks"
	UnwindData    Kind = "unwind-data"
	ImageNames    Kind = "image-names"
	Tables        Kind = "descriptor-tables"
	DriverData    Kind = "driver-data"
	KernelHeaders Kind = "kernel-headers"
	PageTables    Kind = "page-tables"
	Others        Kind = "other-processors"
	Pointers      Kind = "pointed-to"
	UserMemory    Kind = "user-memory"
)

// kinds says for each which tier it is of, and for people what it is.
var kinds = []struct {
	kind Kind
	tier int
	what string
}{
	{Headers, 0, "headers and the memory manager's numbers"},
	{Processor, 0, "the shown processor's KPRCB"},
	{Process, 0, "its process (EPROCESS)"},
	{Thread, 0, "its thread (ETHREAD)"},
	{Stack, 0, "its kernel stack"},
	{DebuggerData, 0, "KDBG"},
	{Drivers, 0, "the list of drivers, with their paths"},
	{Unloaded, 0, "the drivers that were unloaded"},
	{Report, 0, "this report"},
	{Variables, 1, "variables of the kernel that KDBG names"},
	{SharedData, 1, "KUSER_SHARED_DATA"},
	{Code, 2, "the code page of the instruction pointer"},
	{Parameters, 2, "what the bug check's parameters point to"},
	{RegisterPages, 3, "pages that registers and parameters point into"},
	{Stacks, 4, "other stacks that the frames are on"},
	{UnwindData, 4, "headers, unwind data and code of the drivers on the stack"},
	{ImageNames, 4, "their exports, and the names of their symbols"},
	{Tables, 5, "the descriptor table of segments"},
	{DriverData, 5, "what drivers registered for small dumps"},
	{KernelHeaders, 5, "headers of the kernel's image"},
	{PageTables, 5, "page table entries of these addresses"},
	{Others, 6, "the other processors: KPRCB, registers, top of the stack"},
	{Pointers, 7, "what pointers in thread, process and stack lead to"},
	{UserMemory, 7, "memory of the process that is kept"},
}
