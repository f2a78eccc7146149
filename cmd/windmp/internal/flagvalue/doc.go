// Package flagvalue has the values that flags take, of the kinds that pflag has not:
// addresses, sizes, holes of memory, headers, one word of several.
package flagvalue
