//go:build unix

package main

import (
	"fmt"
	"testing"
)

// tester lets the helpers of tests, which take a testing.TB, work in a program.
// What it does not have of a TB, they do not use.
type tester struct {
	testing.TB

	cleanups []func()
}

// failure and skip are what a tester panics with.
type (
	failure string
	skip    string
)

func (*tester) Helper() {}

func (*tester) Fatal(args ...any) { panic(failure(fmt.Sprint(args...))) }

func (*tester) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

func (*tester) Skipf(format string, args ...any) { panic(skip(fmt.Sprintf(format, args...))) }

func (t *tester) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// outsideTest calls what takes a TB and returns why it was skipped or failed.
func outsideTest(f func(t *tester)) (skipped string, err error) {
	t := &tester{}
	defer func() {
		for _, clean := range t.cleanups {
			clean()
		}
		switch why := recover().(type) {
		case nil:
		case skip:
			skipped = string(why)
		case failure:
			err = fmt.Errorf("%s", string(why))
		default:
			panic(why)
		}
	}()
	f(t)
	return "", nil
}
