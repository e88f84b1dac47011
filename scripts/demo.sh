#!/usr/bin/env bash
# demo.sh: the whole system on this machine until Ctrl-C: two providers, the collector and Envoy with dist/weir.wasm.
# PORT, ADMIN_PORT, COLLECT_PORT, MOCK1_PORT, MOCK2_PORT change ports; LLM=1 puts a real small model in the first mock's place.
# What it writes goes to .demo/, which each start empties. It leaves no process behind.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

port=${PORT:-8080} admin_port=${ADMIN_PORT:-9901} collect_port=${COLLECT_PORT:-9902}
mock1_port=${MOCK1_PORT:-9911} mock2_port=${MOCK2_PORT:-9912}
demo=$ROOT/.demo
pids=()

stop() {
  local pid tries
  trap - EXIT INT TERM
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
  for ((tries = 0; tries < 50; tries++)); do
    [[ -n $(jobs -rp) ]] || break
    sleep 0.1
  done
  for pid in $(jobs -rp); do kill -9 "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
}
trap stop EXIT
trap 'echo >&2; say "stopping; the records stay in .demo/records"; exit 0' INT TERM

# start name command...: runs it with its output in .demo/NAME.log
start() {
  local name=$1
  shift
  "$@" >"$demo/$name.log" 2>&1 </dev/null &
  pids+=($!)
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free() {
  ! listening "$2" || fail "port $2 is taken, which the demo's $1 needs: choose another one, as in \`make demo $3=$(($2 + 1000))\`"
}

envoy_ready() {
  local answer
  exec 3<>"/dev/tcp/127.0.0.1/$admin_port" || return 1
  printf 'GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n' >&3
  read -r answer <&3
  exec 3>&-
  [[ $answer == *" 200 "* ]]
} 2>/dev/null

# wait_for name seconds command...: until the command succeeds; shows the log's end when it does not in time, or the process died.
wait_for() {
  local name=$1 seconds=$2 pid=${pids[-1]} end
  end=$((SECONDS + seconds))
  shift 2
  until "$@"; do
    if ! kill -0 "$pid" 2>/dev/null || ((SECONDS >= end)); then
      tail -n 15 "$demo/$name.log" >&2
      fail "$name was not ready within $seconds s; its last lines are above, all of them in .demo/$name.log"
    fi
    sleep 0.1
  done
}

start_first_provider() {
  if [[ -z ${LLM:-} || $LLM == 0 ]]; then
    start primary dist/weir mock --listen "127.0.0.1:$mock1_port" --name primary
    wait_for primary 5 listening "$mock1_port"
  else
    start primary "$python" scripts/llm.py --port "$mock1_port" --cache "$CACHE/llm"
    say "load Gemma 3 270M (its weights are under Gemma's own terms)"
    wait_for primary 90 grep -q '^ready' "$demo/primary.log"
  fi
}

invite() {
  local url=http://127.0.0.1:$port/v1/chat/completions model=${DEMO_ENDPOINT:-chat}
  cat <<TEXT

Weir serves on http://127.0.0.1:$port (Envoy's admin on $admin_port). Try, in another terminal:

1. a plain call
   curl -si $url -H 'authorization: Bearer alice-demo-key' -d '{"model":"$model","messages":[{"role":"user","content":"Say hello"}]}'

2. a streamed one
   curl -sN $url -H 'authorization: Bearer alice-demo-key' -d '{"model":"$model","stream":true,"messages":[{"role":"user","content":"Count to ten"}]}'

3. a burst that meets a limit: 200, then 429
   for i in \$(seq 20); do curl -s -o /dev/null -w '%{http_code} ' $url -H 'authorization: Bearer bob-demo-key' -d '{"model":"$model","messages":[{"role":"user","content":"Hi"}]}'; done; echo

Who used what, who was refused, what it cost: http://127.0.0.1:$collect_port/
Each usage record as it arrives (Ctrl-C ends the demo):
TEXT
}

[[ -x dist/weir && -f dist/weir.wasm ]] || fail "dist/weir and dist/weir.wasm are missing: run \`make build\`"
free Envoy "$port" PORT
free "admin page" "$admin_port" ADMIN_PORT
free collector "$collect_port" COLLECT_PORT
free "first provider" "$mock1_port" MOCK1_PORT
free "second provider" "$mock2_port" MOCK2_PORT
envoy=$(scripts/setup-envoy.sh 1.40.0)
[[ -z ${LLM:-} || $LLM == 0 ]] || python=$(scripts/setup-python.sh "$ROOT/scripts/llm-requirements.txt")

rm -rf "$demo"
mkdir -p "$demo"
sed -e "s/127\.0\.0\.1:9902/127.0.0.1:$collect_port/g" -e "s/127\.0\.0\.1:9911/127.0.0.1:$mock1_port/g" \
  -e "s/127\.0\.0\.1:9912/127.0.0.1:$mock2_port/g" envoy/policy.yaml >"$demo/policy.yaml"
export WEIR_SECRET_DEMO_PRIMARY=primary-demo-secret WEIR_SECRET_DEMO_BACKUP=backup-demo-secret
dist/weir render envoy "$demo/policy.yaml" --listen "127.0.0.1:$port" --admin "127.0.0.1:$admin_port" \
  --wasm dist/weir.wasm >"$demo/envoy.yaml" || fail "the policy was refused; see above"

start_first_provider
start backup dist/weir mock --listen "127.0.0.1:$mock2_port" --name backup
wait_for backup 5 listening "$mock2_port"
start collector dist/weir collect --listen "127.0.0.1:$collect_port" --out .demo/records --print
wait_for collector 5 listening "$collect_port"
start envoy "$envoy" --config-path "$demo/envoy.yaml" --concurrency 2 --disable-hot-restart --log-level warning
wait_for envoy 30 envoy_ready

invite
tail -n +1 -F "$demo/collector.log" 2>/dev/null &
pids+=($!)
wait -n "${pids[@]}" || true
tail -n 5 "$demo"/{primary,backup,collector,envoy}.log >&2
fail "a part of the demo ended by itself; the ends of all logs are above"
