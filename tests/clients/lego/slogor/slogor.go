// Package slogor stands in for the module of this name, which the Go module proxy does not give: lego writes its log
// through it, in plain text here.
package slogor

import (
	"io"
	"log/slog"
)

// OptionFn changes how lines are written.
type OptionFn func(*slog.HandlerOptions)

// SetLevel leaves out what is below this level.
func SetLevel(level slog.Leveler) OptionFn {
	return func(options *slog.HandlerOptions) { options.Level = level }
}

// SetTimeFormat is taken, and times are written as ever.
func SetTimeFormat(string) OptionFn {
	return func(*slog.HandlerOptions) {}
}

// DisableColor is taken; there are no colours.
func DisableColor() OptionFn {
	return func(*slog.HandlerOptions) {}
}

// NewHandler writes lines of text.
func NewHandler(writer io.Writer, options ...OptionFn) slog.Handler {
	var all slog.HandlerOptions
	for _, option := range options {
		option(&all)
	}
	return slog.NewTextHandler(writer, &all)
}
