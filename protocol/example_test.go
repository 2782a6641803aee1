package protocol_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/groat-dev/groat/protocol"
)

// connect returns a client of a groatd that stands in for the real one, and what closes it. A program calls
// [protocol.Connect] instead. The stand-in has a profile "work", whose token is "token-1" until that is rejected.
func connect() (*protocol.Client, func()) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		token := "token-1"
		for lines := bufio.NewScanner(there); lines.Scan(); {
			var q struct {
				ID     json.RawMessage
				Params struct {
					Profile     string
					AccessToken string `json:"access_token"`
				}
			}
			json.Unmarshal(lines.Bytes(), &q)
			if q.Params.AccessToken == token {
				token = "token-2"
			}
			answer := `"result":{"access_token":"TOKEN","token_type":"Bearer","expires_in":838,"profile":"work",` +
				`"header":"Authorization: Bearer TOKEN"}`
			if q.Params.Profile != "work" {
				answer = `"error":{"code":-32005,"message":"there is no such profile",` +
					`"data":{"kind":"unknown_profile","hint":"groat list"}}`
			}
			fmt.Fprintf(there, `{"jsonrpc":"2.0","id":%s,%s}`+"\n", q.ID, strings.ReplaceAll(answer, "TOKEN", token))
		}
	}()
	c := protocol.NewClient(here)
	return c, func() { c.Close() }
}

// The header field of a request, ready to send.
func ExampleClient_Token() {
	client, end := connect()
	defer end()
	ctx := context.Background()

	token, err := client.Token(ctx, protocol.TokenParams{Profile: "work", MinTTL: new(int64(60))})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Header)

	_, err = client.Token(ctx, protocol.TokenParams{Profile: "home"})
	if refused, ok := errors.AsType[*protocol.Error](err); ok && refused.Kind() == protocol.UnknownProfile {
		fmt.Printf("%s; try: %s\n", refused.Message, refused.Hint())
	}
	// Output:
	// Authorization: Bearer token-1
	// there is no such profile; try: groat list
}

// A token that an API refuses before its time (it was revoked) is replaced by a better one, once. Package transport
// does this for every request of an http.Client.
func ExampleClient_Reject() {
	client, end := connect()
	defer end()
	ctx := context.Background()
	api := func(token string) (status int) { // stands for a request
		if token == "token-1" {
			return 401
		}
		return 200
	}

	params := protocol.TokenParams{Profile: "work"}
	token, err := client.Token(ctx, params)
	if err != nil {
		fmt.Println(err)
		return
	}
	status := api(token.AccessToken)
	if status == 401 {
		if token, err = client.Reject(ctx, params, token.AccessToken); err != nil {
			fmt.Println(err)
			return
		}
		status = api(token.AccessToken)
	}
	fmt.Println(status, token.Header)
	// Output: 200 Authorization: Bearer token-2
}

// Any number of goroutines share one client.
func ExampleClient() {
	client, end := connect()
	defer end()

	var workers sync.WaitGroup
	headers := make([]string, 100)
	for i := range headers {
		workers.Go(func() {
			token, err := client.Token(context.Background(), protocol.TokenParams{Profile: "work"})
			if err == nil {
				headers[i] = token.Header
			}
		})
	}
	workers.Wait()
	same := true
	for _, h := range headers {
		same = same && h == headers[0]
	}
	fmt.Println(len(headers), same, headers[0])
	// Output: 100 true Authorization: Bearer token-1
}
