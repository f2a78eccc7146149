// Package webtest runs real servers for tests: nginx, and an object store that speaks S3
// (versitygw, as testdata/objectstore pins it). A proxy in front of them counts what they
// send, and makes faults. All of it listens on this machine alone.
//
// Tests that need them skip, and say so, where a program is missing, unless
// WINDMP_REQUIRE_SERVERS=1 is set; -short skips them, too.
package webtest
