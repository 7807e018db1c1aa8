#!/usr/bin/env bash
# Build of the container images: `make images`, or `make images REGISTRY=ghcr.io/me TAG=0.1.0 PUSH=1`.
#
# With PUSH=1, the images are pushed with their SBOM and provenance, as attestations of the registry.
set -euo pipefail
cd "$(dirname "$0")/../.."
registry=${REGISTRY:-registry.example.com}
tag=${TAG:-0.1.0}
file=deploy/images/Dockerfile

fail() {
  echo "images: $*" >&2
  exit 1
}

# A tag without a digest may name another image tomorrow.
while read -r _ base _; do
  [[ $base == base || $base =~ @sha256:[0-9a-f]{64}$ ]] || fail "a base image has no digest, got $base"
done < <(grep '^FROM ' "$file")
shopt -s nullglob
wheels=(dist/shardmill-*.whl)
((${#wheels[@]} == 1)) || fail "expected one wheel in dist/, got ${#wheels[@]}; run \`make wheel\`"

options=(build)
if [[ -n ${PUSH:-} ]]; then
  # Only this driver stores attestations.
  docker buildx inspect shardmill >/dev/null 2>&1 ||
    docker buildx create --name shardmill --driver docker-container >/dev/null
  options=(buildx build --builder shardmill --push --sbom=true --provenance=mode=max)
fi
for image in convert train; do
  suffix=${image/convert/}
  name=$registry/shardmill:$tag${suffix:+-$suffix}
  docker "${options[@]}" --file "$file" --build-arg "IMAGE=$image" --tag "$name" .
  echo "$name"
done
