// Package unwind finds the caller of a frame on a stack, without symbols: on x64 and
// ARM64 by the unwind data of the images in memory, as Windows does it; on ARM64 by frame
// pointers where there is none; on x86 by frame pointers and by return addresses behind a
// call. Where neither tells, a scan of the
// stack for return addresses goes on, and its frames are marked as such.
//
// All memory is a guest's and may be hostile: every read is bounded by its image or
// is of a few words of the stack, every walk ends by count.
package unwind
