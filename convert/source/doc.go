// Package source opens what a user names, however it is packed, and gives its image.
// What is unpacked lies in a temporary file, which is removed when the image is closed.
// Every command opens its file here, so that all of them take the same options.
package source
