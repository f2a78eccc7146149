// Package guest finds the Windows in an image of memory. [Find] takes the header
// that the guest's driver left with its host, the registers of the vCPUs, or a search
// of the memory, in this order, until one of them leads to a kernel whose own
// structures agree with each other. What it returns, a [Guest], nobody changes
// afterwards: the machine, the page tables, the kernel's debugger data block, the
// processors and what is known of their registers, the memory that Windows uses.
//
// Nothing is believed because a file says it, and all that a guest says is taken
// for hostile: counts and walks end, and memory use follows what was found. What is
// odd on the way is a finding of the guest's.
//
// Addresses are named for their space: VA is guest-virtual, PA guest-physical, an
// offset counts bytes in a file.
package guest
