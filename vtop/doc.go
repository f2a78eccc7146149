// Package vtop translates virtual addresses of an x64 guest to physical ones.
package vtop
