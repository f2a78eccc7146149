//go:build !windows

package wildcards

// Expand leaves the arguments as they are: the shell has replaced
// patterns by files.
func Expand(args []string) []string { return args }
