#!/usr/bin/env bash
# manifests.sh: whether what `weir render istio` and `envoy-gateway` print is what Istio's, Envoy Gateway's and the Gateway API's
# definitions of resources allow. They come with the projects' Go modules; without Go it says so and does nothing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

envoy_gateway=v1.9.1
istio=$(grep -oE 'istio\.io/istio v[^ ]+' tests/istio/pilot/go.mod | cut -d ' ' -f 2)

go=$(command -v go || true)
[[ -n $go || ! -x /usr/local/go/bin/go ]] || go=/usr/local/go/bin/go
if [[ -z $go ]]; then
  say "SKIPPED: the definitions come as Go modules, and there is no Go here"
  exit 0
fi
[[ -x dist/weir ]] || fail "dist/weir is missing: run \`make build\`"

# module_folder MODULE VERSION: where it lies once it has been fetched.
module_folder() { env -C / "$go" mod download -json "$1@$2" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p'; }

python=$(scripts/setup-python.sh "$ROOT/tests/manifests/requirements.txt")
rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT
for policy in envoy/policy.yaml tests/manifests/policy.yaml; do
  for target in istio envoy-gateway; do
    dist/weir render "$target" "$policy" >"$rendered/$target-$(basename "$(dirname "$policy")").yaml" 2>/dev/null
  done
done
dist/weir render istio tests/manifests/policy.yaml --wasm oci://registry.example/weir:1 >"$rendered/istio-fetched.yaml" 2>/dev/null
dist/weir render istio tests/manifests/policy.yaml --wasm-plugin --wasm oci://registry.example/weir:1 \
  >"$rendered/istio-plugin.yaml" 2>/dev/null
dist/weir render istio envoy/policy.yaml --wasm-image registry.example/weir:1 >"$rendered/istio-image.yaml" 2>/dev/null
crds=$(module_folder github.com/envoyproxy/gateway "$envoy_gateway")/charts/gateway-crds-helm/templates
"$python" tests/manifests/crds.py "$rendered"/*.yaml -- \
  "$(module_folder istio.io/istio "$istio")/manifests/charts/base/files/crd-all.gen.yaml" \
  "$crds/standard-gatewayapi-crds.yaml" "$crds"/generated/*.yaml
