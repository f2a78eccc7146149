// Package wildcards replaces patterns among arguments by the files that they name,
// where the shell does not.
package wildcards
