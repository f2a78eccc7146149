//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// words puts the files into a racer's arguments.
func (in *input) words(args []string) []string {
	words := strings.NewReplacer("{in}", in.in, "{out}", in.out, "{url}", in.url,
		"{start}", strconv.FormatUint(in.start, 10), "{size}", strconv.FormatUint(in.size, 10))
	list := make([]string, 0, len(args))
	for _, a := range args {
		list = append(list, words.Replace(a))
	}
	return list
}

// prepare replaces the input by what a program makes of it, if there is one.
func (in *input) prepare(ctx context.Context, args []string) error {
	if args == nil {
		return nil
	}
	args = in.words(args)
	if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("preparing the input: %w: %s", err, lastLine(out))
	}
	return os.Rename(in.out, in.in)
}

// serve has the input read over HTTP, by ranges, until stop. What this takes of the
// processors counts as that of others.
func (in *input) serve(ctx context.Context) (stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, in.in) }),
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = server.Serve(l) }() // ends with stop
	in.url = "http://" + l.Addr().String() + "/guest.vmcore"
	return func() { _ = server.Close() }, nil
}
