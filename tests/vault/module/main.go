// A real Vault for tests, without its web interface: built by tests/vault/binary.py, never shipped.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:]))
}
