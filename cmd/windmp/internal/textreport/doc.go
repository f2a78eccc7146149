// Package textreport is what the command prints of each report for people, as
// convert/htmlreport is for pages: it finds out nothing.
package textreport
