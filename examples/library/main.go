// Library converts one file with windmp's packages and prints what a ticket
// wants to know of it. docs/guides/library.md walks through it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"windmp/convert"
	"windmp/convert/finding"
	"windmp/physmem"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: library IN OUT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, os.Args[1], os.Args[2])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run converts in to out, which does not exist yet. After an error there is no
// out.
func run(ctx context.Context, w io.Writer, in, out string) error {
	report, err := convert.File(ctx, in, out, convert.Options{})

	var refused *finding.RefusedError
	switch {
	case errors.As(err, &refused): // no dump worth opening can be made
		return fmt.Errorf("%s, %s: %w", refused.Finding.ID, refused.Finding.Advice, err)
	case errors.Is(err, physmem.ErrUnknownFormat):
		return fmt.Errorf("not the memory of a machine: %w", err)
	case err != nil:
		return err
	}

	if _, err := fmt.Fprintf(w, "%s: %s dump, %d pages\n", report.Verdict, report.Output.DumpType, report.Output.Pages); err != nil {
		return err
	}
	for _, f := range report.Findings {
		if _, err := fmt.Fprintf(w, "%s %s: %s\n", f.ID, f.Severity, f.Message); err != nil {
			return err
		}
	}
	return nil
}
