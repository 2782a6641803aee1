package protocol

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/groat-dev/groat/protocol/strictjson"
)

// page is one page of a listing, as it stands in the answer.
type page struct {
	raw  json.RawMessage
	next string // the name behind which the next one begins, or "" on the last
	err  error
}

// Status returns groatd's state with one profile, or with all of them if the name is empty, however many pages that
// takes. It costs no request to any server, and takes 10 s at most for a page.
func (c *Client) Status(ctx context.Context, profile string) (StatusResult, error) {
	var first StatusResult
	var profiles [][]ProfileStatus
	err := c.pages(ctx, MethodStatus, func(after string) any {
		return StatusParams{Profile: profile, After: after}
	}, func(raw json.RawMessage) error {
		r := StatusResult{Profiles: make([]ProfileStatus, 0, onPage(raw))}
		err := json.Unmarshal(raw, &r)
		if profiles = append(profiles, r.Profiles); len(profiles) == 1 {
			first = r
		}
		return err
	})
	if err != nil {
		return StatusResult{}, err
	}
	first.Profiles, first.Next = joined(profiles), ""
	return first, nil
}

// Profiles returns what is configured, however many pages that takes. It takes 10 s at most for a page.
func (c *Client) Profiles(ctx context.Context) (ProfilesResult, error) {
	var profiles [][]ProfileInfo
	err := c.pages(ctx, MethodProfiles, func(after string) any {
		return ProfilesParams{After: after}
	}, func(raw json.RawMessage) error {
		r := ProfilesResult{Profiles: make([]ProfileInfo, 0, onPage(raw))}
		err := json.Unmarshal(raw, &r)
		profiles = append(profiles, r.Profiles)
		return err
	})
	if err != nil {
		return ProfilesResult{}, err
	}
	return ProfilesResult{Profiles: joined(profiles)}, nil
}

// joined returns the profiles of all pages; none is a list too.
func joined[T any](pages [][]T) []T {
	if len(pages) == 1 {
		return pages[0]
	}
	return slices.Concat(pages...)
}

// onPage is about how many profiles a page has: of a groatd's with long answers each has 200 bytes or more.
func onPage(raw json.RawMessage) int { return 1 + len(raw)/200 }

// pages asks for one page after the other, each with the parameters for what is behind a name, and passes them to add.
// While add decodes a page the next one is on its way.
func (c *Client) pages(
	ctx context.Context, method string, params func(after string) any, add func(raw json.RawMessage) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	came := make(chan page)
	go func() {
		for after := ""; ; {
			p := c.page(ctx, method, params(after))
			if p.err == nil && p.next != "" && p.next <= after {
				p.err = fmt.Errorf("%w: its pages go round in circles", ErrAnswer)
			}
			after = p.next
			select {
			case came <- p:
			case <-ctx.Done():
				return
			}
			if p.err != nil || after == "" {
				return
			}
		}
	}()
	for {
		var p page
		select {
		case p = <-came:
		case <-ctx.Done():
			return ctx.Err()
		}
		if p.err != nil {
			return p.err
		}
		if err := add(p.raw); err != nil {
			return fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		if p.next == "" {
			return nil
		}
	}
}

// page asks for one page.
func (c *Client) page(ctx context.Context, method string, params any) (p page) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if p.err = c.Call(ctx, method, params, &p.raw); p.err != nil {
		return p
	}
	for name, raw := range strictjson.Members(p.raw) {
		if string(name) == "next" { // groatd writes it before the profiles
			p.next, _ = strictjson.Text(raw)
			break
		}
	}
	return p
}
