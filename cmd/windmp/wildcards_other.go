//go:build !windows

package main

// expandWildcards leaves the arguments as they are: the shell has replaced
// patterns by files.
func expandWildcards(args []string) []string { return args }
