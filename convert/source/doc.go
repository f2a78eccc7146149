// Package source opens what a user names, whatever it is packed in, and gives the
// image of it; what is unpacked lies in a temporary file that goes with the image.
// Every command opens its file here, so that all of them take the same options.
package source
