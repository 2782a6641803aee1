// Empty is a Go program that does nothing: what starting any of them costs.
package main

func main() {}
