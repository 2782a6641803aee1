// Net is the shortest client of groatd that package net makes: what a Go program pays that asks for one token as Go
// programs usually connect. It looks at nothing: neither who listens, nor what the answer is.
package main

import (
	"net"
	"os"
)

func main() {
	c, err := net.Dial("unix", os.Getenv("GROAT_SOCKET"))
	if err != nil {
		os.Exit(1)
	}
	request := `{"jsonrpc":"2.0","id":1,"method":"token","params":{"profile":"` + os.Args[2] + `"}}` + "\n"
	if _, err := c.Write([]byte(request)); err != nil {
		os.Exit(1)
	}
	answer := make([]byte, 4096)
	n, err := c.Read(answer)
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.Write(answer[:n])
}
