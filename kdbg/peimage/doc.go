// Package peimage reads PE images as they lie in a guest's memory, loaded: their
// size, name, symbols, version, sections and exports. Addresses are guest-virtual.
//
// The package is meant for hostile input: what the headers claim is checked and
// capped before it is used. go-pe decodes the structures; the browser's build has the
// layouts of debug/pe instead.
package peimage
