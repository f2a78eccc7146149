// Package stage has the words for how far a conversion has come: its stages, in
// which stage an error arose ([Error]), that the caller asked for something that
// can't be ([UsageError]), and progress.
package stage
