// Echo is floor/echo.c in Go.
package main

import (
	"bytes"
	"net"
	"os"
	"strconv"
)

func main() {
	length, err := strconv.Atoi(os.Args[2])
	if err != nil || length < 1 {
		os.Exit(1)
	}
	l, err := net.Listen("unix", os.Args[1])
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.Write([]byte{'\n'}) // it can be connected to
	c, err := l.Accept()
	if err != nil {
		os.Exit(1)
	}
	request, answer := make([]byte, 4096), append(bytes.Repeat([]byte{'x'}, length-1), '\n')
	for {
		if _, err := c.Read(request); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			os.Exit(1)
		}
	}
}
