// Package winhdr declares the header of a Windows kernel crash dump and the
// x64 CONTEXT, once, and decodes, encodes and checks them.
package winhdr
