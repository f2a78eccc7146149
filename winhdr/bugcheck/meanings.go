package bugcheck

// Texts that several bug checks share.
const (
	exceptionCode    = "exception code (NTSTATUS)"
	exceptionAt      = "address of the instruction that raised it"
	exceptionRecord  = "address of the exception record"
	contextRecord    = "address of the CONTEXT"
	memoryReferenced = "address that was referenced"
	irqlThen         = "IRQL at that time"
	accessKind       = "kind of access: 0 read, 1 write, 8 execute"
	accessKindNew    = "kind of access: 0 read, 2 write (1 before 1507), 0x10 execute"
	referencedBy     = "address of the instruction, if known"
	violationKind    = "which violation; the others depend on it"
	sourceAndLine    = "source file and line, inside the driver"
)

// meanings is in our own words. The facts are from the pages of the bug
// check code reference (MicrosoftDocs/windows-driver-docs, one a code).
var meanings = map[uint32]Meaning{
	0x0a: {"Kernel code touched pageable or invalid memory while its IRQL was too high.", [4]string{memoryReferenced, irqlThen, accessKind, "address of the instruction"}},
	0x18: {"The reference count of an object is wrong for its state.", [4]string{"object type", "address of the object", violationKind, ""}},
	0x19: {"The header of a pool block is corrupt.", [4]string{violationKind, "", "", ""}},
	0x1a: {"The memory manager found its own structures corrupt.", [4]string{violationKind, "", "", ""}},
	0x1e: {"Kernel code raised an exception that nothing handled.", [4]string{exceptionCode, exceptionAt, "parameter 0 of the exception", "parameter 1 of the exception"}},
	0x23: {"The FAT file system driver stopped.", [4]string{sourceAndLine, exceptionRecord, contextRecord, "instruction, in some cases"}},
	0x24: {"The NTFS driver stopped: often a damaged volume or disk.", [4]string{sourceAndLine, exceptionRecord, contextRecord, "instruction, in some cases"}},
	0x27: {"The SMB redirector stopped.", [4]string{sourceAndLine, exceptionRecord, contextRecord, "instruction, in some cases"}},
	0x3b: {"An exception occurred on the way from user mode into a system service.", [4]string{exceptionCode, exceptionAt, contextRecord, "0"}},
	0x3f: {"There are no free page table entries for system mappings.", [4]string{"type of mapping: 0 expansion, 1 nonpaged pool expansion", "size asked for", "free entries", "entries in all"}},
	0x44: {"A driver completed an I/O request that was completed already.", [4]string{"address of the IRP", "", "", ""}},
	0x4e: {"The list of page frames is corrupt, often by a driver's bad memory descriptor list.", [4]string{violationKind, "", "", ""}},
	0x50: {"Invalid system memory was referenced, where waiting for a page can't help.", [4]string{memoryReferenced, accessKindNew, referencedBy, "kind of fault"}},
	0x51: {"The registry is damaged, or its file can't be read.", [4]string{"", "", "address of the hive, if known", "status, in some cases"}},
	0x5c: {"The hardware abstraction layer could not start.", [4]string{"", "", "", ""}},
	0x74: {"The SYSTEM hive of the registry can't be used.", [4]string{"", "", "address of the failure, or 0", "status, in most cases"}},
	0x77: {"A page of a kernel stack could not be read back from the paging file.", [4]string{"0, 1 or 2: where the page came from; else a status", "value found instead of the signature, or I/O status", "paging file number, if 1 is a status", "address of the signature, or offset in the paging file"}},
	0x7a: {"Kernel data could not be read back from the paging file.", [4]string{"lock type, or address of the page table entry", "status of the input/output", "process, or faulting address", "faulting address, or contents of the entry"}},
	0x7b: {"Windows lost its boot volume, or never had a driver for it.", [4]string{"device object, or name of the boot device", "", "", ""}},
	0x7c: {"The network driver interface found a mistake of a network driver.", [4]string{violationKind, "", "", ""}},
	0x7e: {"A system thread raised an exception that nothing handled.", [4]string{exceptionCode, exceptionAt, exceptionRecord, contextRecord}},
	0x7f: {"The processor raised a trap that the kernel may not have.", [4]string{"trap number: 0 divide, 4 overflow, 6 invalid opcode, 8 double fault", "", "", ""}},
	0x80: {"The hardware raised a non-maskable interrupt.", [4]string{"reserved", "reserved", "reserved", "reserved"}},
	0x8e: {"Kernel code raised an exception that nothing handled.", [4]string{exceptionCode, exceptionAt, "address of the trap frame", ""}},
	0x9c: {"The processor reported a machine check.", [4]string{"bank", "address of the exception record", "upper half of MCi_STATUS", "lower half of MCi_STATUS"}},
	0x9e: {"A vital user-mode process did not answer a health check.", [4]string{"the process", "timeout in seconds", "reserved", "reserved"}},
	0x9f: {"A driver did not finish a change of power state.", [4]string{"which violation: 3 means a device blocks a request for too long", "physical device object (violation 3)", "power triage data (violation 3)", "the blocked request (violation 3)"}},
	0xa0: {"The power policy manager found a fatal error.", [4]string{violationKind, "", "", ""}},
	0xa5: {"The ACPI firmware does not follow the specification.", [4]string{violationKind, "", "", ""}},
	0xb8: {"A deferred procedure call tried to wait, attach or yield.", [4]string{"current thread", "thread switched to", "stack of the current thread", ""}},
	0xbe: {"A driver wrote to read-only memory.", [4]string{"address written to", "contents of the page table entry", "reserved", "reserved"}},
	0xc1: {"A driver wrote past an allocation that special pool guards.", [4]string{"address to be freed", "reserved, or where it was damaged", "size", violationKind}},
	0xc2: {"A thread made a wrong request to the pool.", [4]string{violationKind, "", "", ""}},
	0xc4: {"Driver Verifier caught a mistake of a driver.", [4]string{violationKind, "", "", ""}},
	0xc5: {"A driver damaged pool memory: it was touched at a high IRQL.", [4]string{memoryReferenced, irqlThen, accessKind, "address of the instruction"}},
	0xc9: {"Driver Verifier caught a mistake with input/output requests.", [4]string{violationKind, "", "", ""}},
	0xca: {"Plug and Play found a fatal mistake, mostly of a bus driver.", [4]string{violationKind, "", "", ""}},
	0xce: {"A driver was unloaded while its timers, threads or requests were pending.", [4]string{memoryReferenced, accessKind, "address of the instruction", "reserved"}},
	0xd1: {"A driver touched pageable or invalid memory while its IRQL was too high.", [4]string{memoryReferenced, irqlThen, accessKind, "address of the instruction"}},
	0xd5: {"A driver touched pool memory that it had freed.", [4]string{memoryReferenced, accessKind, "address of the instruction", "reserved"}},
	0xda: {"A driver misused system page table entries.", [4]string{violationKind, "", "", ""}},
	0xe2: {"Somebody asked for this crash: keyboard, power button, NMI or debugger.", [4]string{"", "", "", ""}},
	0xea: {"A display driver is stuck in an endless loop.", [4]string{"the thread", "watchdog object", "name of the driver", "number of times it was caught"}},
	0xef: {"A process that Windows can't run without has ended.", [4]string{"the process, or thread", "0 for a process, 1 for a thread", "reserved", "reserved"}},
	0xf4: {"A process or thread that Windows can't run without has ended or exited.", [4]string{"object type: 3 process, 6 thread", "the object", "image name of the process", "message"}},
	0xf7: {"A driver overran a buffer on its stack.", [4]string{"cookie found on the stack", "cookie expected", "complement of the cookie expected", "0"}},
	0xfc: {"A driver tried to execute memory that is not executable.", [4]string{"address executed", "contents of the page table entry", "reserved", "reserved"}},
	0xfe: {"The USB driver found a fatal error.", [4]string{violationKind, "", "", ""}},

	0x101: {"A processor did not answer clock interrupts in time.", [4]string{"timeout in clock ticks", "0", "PRCB of the hung processor", "number of the hung processor"}},
	0x109: {"The kernel found its own code or critical data modified.", [4]string{"reserved", "reserved", "", "type of the corrupted region"}},
	0x10d: {"The driver framework caught a mistake of a driver.", [4]string{violationKind, "", "", ""}},
	0x10e: {"The video memory manager found a fatal error.", [4]string{violationKind, "", "", ""}},
	0x113: {"The graphics kernel found a fatal error.", [4]string{violationKind, "", "", ""}},
	0x116: {"The display driver did not recover from a timeout.", [4]string{"TDR context", "address inside the responsible driver, if known", "status of the last failed operation", "internal data"}},
	0x119: {"The graphics scheduler found a fatal error.", [4]string{violationKind, "", "", ""}},
	0x124: {"The hardware reported an error that can't be corrected.", [4]string{"error source: 0 machine check, 4 PCI Express", "address of the error record (WHEA_ERROR_RECORD)", "upper half of MCi_STATUS (machine check)", "lower half of MCi_STATUS (machine check)"}},
	0x12b: {"A page of memory changed although nothing wrote to it: often bad RAM.", [4]string{violationKind, "", "", ""}},
	0x133: {"A deferred procedure call, or the time at DISPATCH_LEVEL, took too long.", [4]string{"0 a single call, 1 in all", "time spent, in ticks (0: of the call)", "limit, in ticks; or address of the triage block", ""}},
	0x139: {"The kernel found a critical data structure corrupt.", [4]string{"which kind: 3 a list entry, 2 a stack cookie, and others", "address of the trap frame", "address of the exception record", "reserved"}},
	0x13a: {"The kernel's heap manager found its heap corrupt.", [4]string{"type of corruption", "address of the heap", "address of the corrupt block", "reserved"}},
	0x144: {"The USB 3 driver found a fatal error.", [4]string{violationKind, "", "", ""}},
	0x154: {"The store component (memory compression) raised an unexpected exception.", [4]string{"address of the store", "address of the exception data", "reserved", "reserved"}},
	0x161: {"The guest had not crashed: the dump was taken of a running system.", [4]string{"", "", "", ""}},
	0x18b: {"The secure kernel stopped.", [4]string{"", "", "", ""}},
	0x1c4: {"Driver Verifier caught a mistake of a driver and let the system run on.", [4]string{violationKind, "", "", ""}},
	0x1ca: {"The system was stopped because nothing reset a virtual watchdog.", [4]string{"", "", "", ""}},

	0x20001:    {"The hypervisor stopped.", [4]string{violationKind, "", "", ""}},
	0xc000021a: {"Winlogon or the client/server subsystem has ended.", [4]string{"string that says what failed", "status", "reserved", "reserved"}},
	0xdeaddead: {"Somebody asked for this crash; also what MemProcFS writes for a live system.", [4]string{"", "", "", ""}},
}
