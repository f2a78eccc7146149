// Package rules holds the tests of what the project's code must look like and no linter
// can say: that each room has its rule of imports in .golangci.yml, which allows no more
// than is used and nothing upwards; that nobody but the descriptions of the machines asks
// which machine it is; that rooms stay small, that libraries speak of no flags, and that
// documents and comments name what is there.
package rules
