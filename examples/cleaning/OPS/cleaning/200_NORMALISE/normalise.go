// Names without stray blanks, phone numbers in the international form, and no row twice.
//
//	GOOS=wasip1 GOARCH=wasm go build -trimpath -ldflags="-s -w" -o normalise.wasm normalise.go
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type row map[string]string

// What the processor sends to every compute.
type envelope struct {
	Input struct {
		Rows []row `json:"rows"`
	} `json:"input"`
	Env struct {
		Country string `json:"country"`
	} `json:"env"`
}

type output struct {
	Clean      []row `json:"clean"`
	Duplicates int   `json:"duplicates"`
}

func main() {
	var call envelope
	if err := json.NewDecoder(os.Stdin).Decode(&call); err != nil {
		fmt.Fprintln(os.Stderr, "the input is not an envelope:", err)
		os.Exit(1)
	}
	result := output{Clean: []row{}}
	seen := map[string]bool{}
	for _, one := range call.Input.Rows {
		name := strings.Join(strings.Fields(one["name"]), " ")
		phone := international(one["phone"], call.Env.Country)
		key := strings.ToLower(name) + "\x00" + phone
		if seen[key] {
			result.Duplicates++
			continue
		}
		seen[key] = true
		result.Clean = append(result.Clean, row{"name": name, "phone": phone})
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func international(phone, country string) string {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return -1
	}, phone)
	switch {
	case digits == "" || strings.HasPrefix(digits, "+"):
		return digits
	case strings.HasPrefix(digits, "00"):
		return "+" + digits[2:]
	default:
		return "+" + country + strings.TrimPrefix(digits, "0")
	}
}
