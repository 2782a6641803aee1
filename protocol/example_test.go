package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"sync"

	"github.com/groat-dev/groat/protocol"
)

// The header of a request, and what a person is told if there is none.
func ExampleClient_Token() {
	ctx := context.Background()
	client, err := protocol.Connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	for _, profile := range []string{"work", "home"} {
		token, err := client.Token(ctx, protocol.TokenParams{Profile: profile})
		if refused, ok := errors.AsType[*protocol.Error](err); ok {
			fmt.Printf("%s; try: %s\n", refused.Message, refused.Hint())
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(token.Header)
	}
	// Output:
	// Authorization: Bearer token-1
	// there is no such profile; try: groat list
}

// A token that an API refuses before its time (it was revoked) is replaced by a better one, once. Package transport
// does this for every request of an http.Client.
func ExampleClient_Reject() {
	ctx := context.Background()
	client, err := protocol.Connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	params := protocol.TokenParams{Profile: "work"}
	token, err := client.Token(ctx, params)
	if err != nil {
		log.Fatal(err)
	}
	status := request(token.Header) // stands for your own
	if status == http.StatusUnauthorized {
		token, err = client.Reject(ctx, params, token.AccessToken)
		if err != nil {
			log.Fatal(err)
		}
		status = request(token.Header)
	}
	fmt.Println(status, token.Header)
	// Output: 200 Authorization: Bearer token-2
}

// Any number of goroutines share one client.
func ExampleClient() {
	ctx := context.Background()
	client, err := protocol.Connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	headers := make([]string, 100)
	var workers sync.WaitGroup
	for i := range headers {
		workers.Go(func() {
			token, err := client.Token(ctx, protocol.TokenParams{Profile: "work"})
			if err != nil {
				log.Print(err)
				return
			}
			headers[i] = token.Header
		})
	}
	workers.Wait()
	fmt.Println(headers[0], headers[99])
	// Output: Authorization: Bearer token-1 Authorization: Bearer token-1
}
