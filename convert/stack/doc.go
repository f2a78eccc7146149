// Package stack says what crashed: which processor raised the bug check, where the walk
// of its stack begins, the frames with their names, and the signature by which equal
// crashes are recognised. It does not claim to know the cause.
//
// Where the walk begins, which the parameters of a bug check tell, and which modules
// are Windows' own, is data: bugchecks.txt and modules.txt.
package stack
