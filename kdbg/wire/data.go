// Package wire is KDDEBUGGER_DATA64 as it lies in memory: its layout, how Windows
// encodes it, and where the kernel notes that it did.
package wire

import (
	"encoding/binary"
	"unsafe"

	"windmp/physmem"
)

// ListEntry64 is LIST_ENTRY64: two VAs.
type ListEntry64 struct {
	Flink, Blink uint64
}

// DataHeader is DBGKD_DEBUG_DATA_HEADER64.
type DataHeader struct {
	List     ListEntry64 // links to KdpDebuggerDataListHead
	OwnerTag uint32      // [OwnerTag]
	Size     uint32      // bytes of the whole block
}

// Data is KDDEBUGGER_DATA64 up to its last known field, 0x3a8 bytes, with the
// names of Microsoft's wdbgexts.h (Windows SDK). The layout is the same on all
// builds, newer ones only append: its Size says what one has. Most qwords are
// addresses of kernel variables, to be dereferenced; the comments say where it is
// otherwise, and each field's offset. The names and offsets of the last fields
// are from win32metadata.
//
//nolint:revive,staticcheck // Microsoft's names
type Data struct {
	Header                              DataHeader // 0x0
	KernBase                            uint64     // 0x18 VA of the kernel image
	BreakpointWithStatus                uint64     // 0x20
	SavedContext                        uint64     // 0x28 VA, 0 before a bug check
	ThCallbackStack                     uint16     // 0x30
	NextCallback                        uint16     // 0x32
	FramePointer                        uint16     // 0x34
	PaeEnabled                          uint16     // 0x36 bit 0 PaeEnabled, bit 1 KiBugCheckRecoveryActive, bits 2-5 PagingLevels
	KiCallUserMode                      uint64     // 0x38
	KeUserCallbackDispatcher            uint64     // 0x40 0 in every dump seen
	PsLoadedModuleList                  uint64     // 0x48 VA of the list head
	PsActiveProcessHead                 uint64     // 0x50 VA of the list head
	PspCidTable                         uint64     // 0x58
	ExpSystemResourcesList              uint64     // 0x60
	ExpPagedPoolDescriptor              uint64     // 0x68
	ExpNumberOfPagedPools               uint64     // 0x70
	KeTimeIncrement                     uint64     // 0x78
	KeBugCheckCallbackListHead          uint64     // 0x80
	KiBugcheckData                      uint64     // 0x88 VA of the array: code, then 4 parameters, a pointer each
	IopErrorLogListHead                 uint64     // 0x90
	ObpRootDirectoryObject              uint64     // 0x98
	ObpTypeObjectType                   uint64     // 0xa0
	MmSystemCacheStart                  uint64     // 0xa8
	MmSystemCacheEnd                    uint64     // 0xb0
	MmSystemCacheWs                     uint64     // 0xb8
	MmPfnDatabase                       uint64     // 0xc0 VA of the variable, not its value
	MmSystemPtesStart                   uint64     // 0xc8
	MmSystemPtesEnd                     uint64     // 0xd0
	MmSubsectionBase                    uint64     // 0xd8
	MmNumberOfPagingFiles               uint64     // 0xe0
	MmLowestPhysicalPage                uint64     // 0xe8
	MmHighestPhysicalPage               uint64     // 0xf0
	MmNumberOfPhysicalPages             uint64     // 0xf8
	MmMaximumNonPagedPoolInBytes        uint64     // 0x100
	MmNonPagedSystemStart               uint64     // 0x108
	MmNonPagedPoolStart                 uint64     // 0x110
	MmNonPagedPoolEnd                   uint64     // 0x118
	MmPagedPoolStart                    uint64     // 0x120
	MmPagedPoolEnd                      uint64     // 0x128
	MmPagedPoolInformation              uint64     // 0x130
	MmPageSize                          uint64     // 0x138 the value: 0x1000
	MmSizeOfPagedPoolInBytes            uint64     // 0x140
	MmTotalCommitLimit                  uint64     // 0x148
	MmTotalCommittedPages               uint64     // 0x150
	MmSharedCommit                      uint64     // 0x158
	MmDriverCommit                      uint64     // 0x160
	MmProcessCommit                     uint64     // 0x168
	MmPagedPoolCommit                   uint64     // 0x170
	MmExtendedCommit                    uint64     // 0x178
	MmZeroedPageListHead                uint64     // 0x180
	MmFreePageListHead                  uint64     // 0x188
	MmStandbyPageListHead               uint64     // 0x190
	MmModifiedPageListHead              uint64     // 0x198
	MmModifiedNoWritePageListHead       uint64     // 0x1a0
	MmAvailablePages                    uint64     // 0x1a8
	MmResidentAvailablePages            uint64     // 0x1b0
	PoolTrackTable                      uint64     // 0x1b8
	NonPagedPoolDescriptor              uint64     // 0x1c0
	MmHighestUserAddress                uint64     // 0x1c8
	MmSystemRangeStart                  uint64     // 0x1d0
	MmUserProbeAddress                  uint64     // 0x1d8
	KdPrintCircularBuffer               uint64     // 0x1e0
	KdPrintCircularBufferEnd            uint64     // 0x1e8
	KdPrintWritePointer                 uint64     // 0x1f0
	KdPrintRolloverCount                uint64     // 0x1f8
	MmLoadedUserImageList               uint64     // 0x200
	NtBuildLab                          uint64     // 0x208 VA of the ASCII string
	KiNormalSystemCall                  uint64     // 0x210
	KiProcessorBlock                    uint64     // 0x218 VA of the array of KPRCB pointers
	MmUnloadedDrivers                   uint64     // 0x220
	MmLastUnloadedDriver                uint64     // 0x228
	MmTriageActionTaken                 uint64     // 0x230
	MmSpecialPoolTag                    uint64     // 0x238
	KernelVerifier                      uint64     // 0x240
	MmVerifierData                      uint64     // 0x248
	MmAllocatedNonPagedPool             uint64     // 0x250
	MmPeakCommitment                    uint64     // 0x258
	MmTotalCommitLimitMaximum           uint64     // 0x260
	CmNtCSDVersion                      uint64     // 0x268
	MmPhysicalMemoryBlock               uint64     // 0x270 VA of the pointer to the kernel's run table
	MmSessionBase                       uint64     // 0x278
	MmSessionSize                       uint64     // 0x280
	MmSystemParentTablePage             uint64     // 0x288
	MmVirtualTranslationBase            uint64     // 0x290
	OffsetKThreadNextProcessor          uint16     // 0x298 since XP: offsets in bytes in the named structure
	OffsetKThreadTeb                    uint16     // 0x29a
	OffsetKThreadKernelStack            uint16     // 0x29c
	OffsetKThreadInitialStack           uint16     // 0x29e
	OffsetKThreadApcProcess             uint16     // 0x2a0
	OffsetKThreadState                  uint16     // 0x2a2
	OffsetKThreadBStore                 uint16     // 0x2a4
	OffsetKThreadBStoreLimit            uint16     // 0x2a6
	SizeEProcess                        uint16     // 0x2a8
	OffsetEprocessPeb                   uint16     // 0x2aa
	OffsetEprocessParentCID             uint16     // 0x2ac
	OffsetEprocessDirectoryTableBase    uint16     // 0x2ae
	SizePrcb                            uint16     // 0x2b0
	OffsetPrcbDpcRoutine                uint16     // 0x2b2
	OffsetPrcbCurrentThread             uint16     // 0x2b4
	OffsetPrcbMhz                       uint16     // 0x2b6
	OffsetPrcbCpuType                   uint16     // 0x2b8
	OffsetPrcbVendorString              uint16     // 0x2ba
	OffsetPrcbProcStateContext          uint16     // 0x2bc of ProcessorState.ContextFrame
	OffsetPrcbNumber                    uint16     // 0x2be
	SizeEThread                         uint16     // 0x2c0
	L1tfHighPhysicalBitIndex            uint8
	L1tfSwizzleBitIndex                 uint8
	_                                   [4]byte
	KdPrintCircularBufferPtr            uint64 // 0x2c8
	KdPrintBufferSize                   uint64 // 0x2d0
	KeLoaderBlock                       uint64 // 0x2d8
	SizePcr                             uint16 // 0x2e0
	OffsetPcrSelfPcr                    uint16 // 0x2e2
	OffsetPcrCurrentPrcb                uint16 // 0x2e4
	OffsetPcrContainedPrcb              uint16 // 0x2e6
	OffsetPcrInitialBStore              uint16 // 0x2e8
	OffsetPcrBStoreLimit                uint16 // 0x2ea
	OffsetPcrInitialStack               uint16 // 0x2ec
	OffsetPcrStackLimit                 uint16 // 0x2ee
	OffsetPrcbPcrPage                   uint16 // 0x2f0
	OffsetPrcbProcStateSpecialReg       uint16 // 0x2f2 of ProcessorState.SpecialRegisters
	GdtR0Code                           uint16 // 0x2f4 this and the next nine: selectors
	GdtR0Data                           uint16 // 0x2f6
	GdtR0Pcr                            uint16 // 0x2f8
	GdtR3Code                           uint16 // 0x2fa
	GdtR3Data                           uint16 // 0x2fc
	GdtR3Teb                            uint16 // 0x2fe
	GdtLdt                              uint16 // 0x300
	GdtTss                              uint16 // 0x302
	Gdt64R3CmCode                       uint16 // 0x304
	Gdt64R3CmTeb                        uint16 // 0x306
	IopNumTriageDumpDataBlocks          uint64 // 0x308
	IopTriageDumpDataBlocks             uint64 // 0x310
	VfCrashDataBlock                    uint64 // 0x318
	MmBadPagesDetected                  uint64 // 0x320
	MmZeroedPageSingleBitErrorsDetected uint64 // 0x328
	EtwpDebuggerData                    uint64 // 0x330
	OffsetPrcbContext                   uint16 // 0x338 of the pointer KPRCB.Context, since Windows 7
	OffsetPrcbMaxBreakpoints            uint16 // 0x33a
	OffsetPrcbMaxWatchpoints            uint16 // 0x33c
	_                                   [2]byte
	OffsetKThreadStackLimit             uint32 // 0x340
	OffsetKThreadStackBase              uint32 // 0x344
	OffsetKThreadQueueListEntry         uint32 // 0x348
	OffsetEThreadIrpList                uint32 // 0x34c
	OffsetPrcbIdleThread                uint16 // 0x350
	OffsetPrcbNormalDpcState            uint16 // 0x352
	OffsetPrcbDpcStack                  uint16 // 0x354
	OffsetPrcbIsrStack                  uint16 // 0x356
	SizeKDPC_STACK_FRAME                uint16 // 0x358
	OffsetKPriQueueThreadListHead       uint16 // 0x35a
	OffsetKThreadWaitReason             uint16 // 0x35c
	Padding                             uint16 // 0x35e
	PteBase                             uint64 // 0x360 VA where the page tables map themselves, since 1607
	RetpolineStubFunctionTable          uint64 // 0x368
	RetpolineStubFunctionTableSize      uint32 // 0x370
	RetpolineStubOffset                 uint32 // 0x374
	RetpolineStubSize                   uint32 // 0x378
	OffsetEProcessMmHotPatchContext     uint16 // 0x37c
	_                                   [2]byte
	OffsetKThreadShadowStackLimit       uint32 // 0x380
	OffsetKThreadShadowStackBase        uint32 // 0x384
	ShadowStackEnabled                  uint64 // 0x388
	PointerAuthMask                     uint64 // 0x390 0 on x64
	OffsetPrcbExceptionStack            uint16 // 0x398
	_                                   [6]byte
	PointerIgnoreBits                   uint64 // 0x3a0 newest builds only
}

// dataSize is the wire size of Data.
const dataSize = 0x3a8

var _ [dataSize]byte = [unsafe.Sizeof(Data{})]byte{}

const (
	// OwnerTag is "KDBG", KDBG_TAG of wdbgexts.h.
	OwnerTag uint32 = 0x4742444b

	// MinSize is the smallest Size of a block, bytes: the layout of Windows 2000,
	// to which everything later was appended.
	MinSize = 0x208
	// MaxSize is the largest Size that is believed, bytes. The largest known is
	// 0x3a8; the rest is room for what future builds append.
	MaxSize = 0x800
	// WordSize is the size of what a block is encoded in, bytes.
	WordSize = 8

	// pageSize is the only MmPageSize.
	pageSize = physmem.PageSize
)

// Offsets in a block that readers need before it is decoded, bytes.
const (
	OffOwnerTag   = unsafe.Offsetof(Data{}.Header) + unsafe.Offsetof(DataHeader{}.OwnerTag)
	OffSize       = unsafe.Offsetof(Data{}.Header) + unsafe.Offsetof(DataHeader{}.Size)
	OffMmPageSize = unsafe.Offsetof(Data{}.MmPageSize)
	OffGdtR0Pcr   = unsafe.Offsetof(Data{}.GdtR0Pcr)
)

// ValidSize reports whether n can be the Size of a block.
func ValidSize(n uint32) bool {
	return n >= MinSize && n <= MaxSize && n%WordSize == 0
}

// Decode decodes what raw, a plain block, holds of the layout; the rest stays zero.
func Decode(raw []byte) Data {
	var wire [dataSize]byte
	copy(wire[:], raw)
	var d Data
	// It can only refuse a short buffer, and this one has the right size.
	_, _ = binary.Decode(wire[:], binary.LittleEndian, &d)
	return d
}
