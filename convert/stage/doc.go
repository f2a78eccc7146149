// Package stage names how far a conversion has come: its stages, the stage in which an
// error arose ([Error]), that the caller asked for something impossible ([UsageError]),
// and progress.
package stage
