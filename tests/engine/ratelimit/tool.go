//go:build tools

// The engine that scripts/setup-ratelimit.sh builds; go.mod and go.sum pin it.
package engine

import _ "github.com/envoyproxy/ratelimit/src/service_cmd"
