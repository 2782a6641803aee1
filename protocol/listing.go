package protocol

import (
	"context"
	"fmt"
)

// Status returns the daemon's state with one profile, or with all of them where the name is empty, however many pages
// that takes.
func (c *Client) Status(ctx context.Context, profile string) (StatusResult, error) {
	var all StatusResult
	params := StatusParams{Profile: profile}
	for {
		var page StatusResult
		if err := c.Call(ctx, MethodStatus, params, &page); err != nil {
			return StatusResult{}, err
		}
		if params.After == "" {
			all = page
		} else {
			all.Profiles = append(all.Profiles, page.Profiles...)
		}
		if page.Next == "" {
			all.Next = ""
			return all, nil
		}
		if err := advances(params.After, page.Next); err != nil {
			return StatusResult{}, err
		}
		params.After = page.Next
	}
}

// Profiles returns what is configured, however many pages that takes.
func (c *Client) Profiles(ctx context.Context) (ProfilesResult, error) {
	all := ProfilesResult{Profiles: []ProfileInfo{}} // none is a list too
	var params ProfilesParams
	for {
		var page ProfilesResult
		if err := c.Call(ctx, MethodProfiles, params, &page); err != nil {
			return ProfilesResult{}, err
		}
		all.Profiles = append(all.Profiles, page.Profiles...)
		if page.Next == "" {
			return all, nil
		}
		if err := advances(params.After, page.Next); err != nil {
			return ProfilesResult{}, err
		}
		params.After = page.Next
	}
}

// advances makes sure that a listing comes to an end.
func advances(after, next string) error {
	if next <= after {
		return fmt.Errorf("%w: its pages go round in circles", ErrAnswer)
	}
	return nil
}
