// Package guest finds the Windows in an image of memory. [Find] tries the header that the
// guest's driver left with its host, then the registers of the vCPUs, then a search of
// the memory, until one of them leads to a kernel whose own structures agree with each
// other. It returns a [Guest], which nobody changes afterwards: the machine, the page
// tables, the kernel's debugger data block, the processors and what is known of their
// registers, the memory that Windows uses.
//
// Nothing is believed because a file says it, and whatever a guest says is treated as
// hostile: counts and walks end, and memory use follows what was found. What is odd on
// the way becomes a finding of the guest.
//
// Addresses are named for their space: VA is guest-virtual, PA guest-physical, an
// offset counts bytes in a file.
package guest
