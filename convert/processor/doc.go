// Package processor says what is known of each processor of a guest: the structures
// that debuggers read, the registers that Windows saved of it, and the vCPU that proves
// to run it. What the other vCPUs did instead is a finding.
package processor
