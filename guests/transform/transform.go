// The transform job in Go: see README.md.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "transform:", err)
		os.Exit(2)
	}
	input = bytes.Trim(input, " \t\r\n")
	var members map[string]json.RawMessage
	if !bytes.HasPrefix(input, []byte("{")) || json.Unmarshal(input, &members) != nil {
		fmt.Fprintln(os.Stderr, "transform: the input is not a JSON object")
		os.Exit(1)
	}
	keys, depth := measure(input)
	body := bytes.TrimRight(input[:len(input)-1], " \t\r\n")
	comma := ","
	if keys == 0 {
		comma = ""
	}
	fmt.Printf("%s%s\"computed\":true,\"keys\":%d,\"depth\":%d,\"bytes\":%d}", body, comma, keys, depth, len(input))
	fmt.Fprintf(os.Stderr, "transform: %d keys\n", keys)
}

// measure counts an object's members, repeated ones too, and how deep it nests.
func measure(object []byte) (keys, deepest int) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	depth, tokens := 0, 0
	for {
		token, err := decoder.Token()
		if err != nil {
			return keys, deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			// A nested value is one token of the outermost object.
			if depth == 1 {
				tokens++
			}
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		default:
			if depth == 1 {
				tokens++
			}
		}
		keys = tokens / 2
	}
}
