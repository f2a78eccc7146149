// Package unwind finds the caller of a frame on a stack, without symbols: on x64 and
// ARM64 by the unwind data of the images in memory, as Windows does it; on ARM64 by frame
// pointers where there is none; on x86 by frame pointers and by return addresses that
// follow a call. Where none of these helps, the stack is scanned for return addresses,
// and the frames found so are marked.
//
// All memory is a guest's and may be hostile: every read is bounded by its image or
// is of a few words of the stack, every walk ends by count.
package unwind
