// Package identity says in a report's words which Windows a guest is and what happened to
// it.
package identity
