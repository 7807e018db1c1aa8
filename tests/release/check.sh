#!/usr/bin/env bash
# Check of a release: `make release-check`, or `make release-check TAG=v1.2.3` for its tag.
#
# Wheel and source distribution are built, checked, and installed without extras, each into a new
# environment, with the newest packages that the metadata permits: what a user gets who installs it
# today. Made in .release/: dist/ (both files) and notes/ (the SBOM, and the section of the changelog).
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
python=$root/${BIN:-.venv/bin}/python
uv=$root/${BIN:-.venv/bin}/uv
tag=${1:-}
unset PYTHONPATH

fail() {
  echo "release-check: $*" >&2
  exit 1
}

version=$("$python" -c 'from records.version import __version__; print(__version__)')
[[ -z $tag || $tag == "v$version" ]] || fail "the tag is $tag, the version in records/version.py is $version"

rm -rf .release
mkdir -p .release/dist .release/notes

# The notes: the section of this version, with links that work outside the repository.
repository=https://github.com/shardmill/shardmill/blob/${tag:-main}
section=$([[ -n $tag ]] && echo "$version" || echo Unreleased)
awk -v start="## [$section]" '
  index($0, "## ") == 1 { inside = index($0, start) == 1; next }
  inside' CHANGELOG.md |
  sed -e "s|](docs/|]($repository/docs/|g" -e "s|](\([A-Z_]*\.md\)|]($repository/\1|g" >.release/notes/notes.md
grep -q '[^[:space:]]' .release/notes/notes.md || fail "CHANGELOG.md has no section [$section]"

echo "== tools"
"$uv" venv --quiet --python "$python" .release/tools
"$uv" pip install --quiet --python .release/tools/bin/python --require-hashes \
  -r tests/release/requirements.lock

echo "== build"
.release/tools/bin/python -m build --no-isolation --outdir .release/dist . >.release/build.log 2>&1 || {
  cat .release/build.log >&2
  fail "the build failed"
}
wheel=$(echo .release/dist/*.whl)
sdist=$(echo .release/dist/*.tar.gz)
.release/tools/bin/twine check --strict "$wheel" "$sdist"

echo "== content"
tar -tzf "$sdist" | sed 's|^[^/]*/||' | sort >.release/sdist.txt
"$python" -m zipfile -l "$wheel" >.release/wheel.txt
if git rev-parse --git-dir >/dev/null 2>&1; then
  missing=$(git ls-files | sort | comm -23 - .release/sdist.txt)
  [[ -z $missing ]] || fail "the source distribution lacks" $missing
fi
for name in records pipelines trainers shardmill; do
  grep -q "^$name/py.typed " .release/wheel.txt || fail "the wheel lacks $name/py.typed"
done
echo "$(wc -l <.release/sdist.txt | tr -d ' ') files in the source distribution"

for file in "$wheel" "$sdist"; do
  echo "== install $(basename "$file")"
  env=$root/.release/env-${file##*.}
  work=$root/.release/work-${file##*.}
  mkdir "$work"
  "$uv" venv --quiet --python "$python" "$env"
  "$uv" pip install --quiet --python "$env/bin/python" "$file"
  (
    cd "$work"
    "$env/bin/python" -c 'import pathlib, sys
sys.path.insert(0, sys.argv[1])
from photos import write_photos
write_photos(pathlib.Path("."))' "$root/tests/docs"
    shown=$("$env/bin/shardmill" --version)
    [[ $shown == *" $version" ]] || fail "shardmill --version prints '$shown', expected $version"
    echo "$shown"
    "$env/bin/shardmill" convert photos data --test 0.2 --quiet
    "$env/bin/shardmill" verify data --decode
  )
done

echo "== SBOM"
# Installed again by its name: an installation by path would put that path into the SBOM.
"$uv" pip install --quiet --python .release/env-whl/bin/python --reinstall --no-deps --no-index \
  --find-links .release/dist "shardmill==$version"
.release/tools/bin/cyclonedx-py environment .release/env-whl/bin/python --pyproject pyproject.toml \
  --output-reproducible --of JSON -o .release/notes/sbom.cdx.json
grep -q "$root" .release/notes/sbom.cdx.json && fail "the SBOM contains the path of this checkout"
# Those of the images: the packages of their lock files, without the base image.
for image in convert train; do
  .release/tools/bin/cyclonedx-py requirements "deploy/images/$image.lock" --pyproject pyproject.toml \
    --output-reproducible --of JSON -o ".release/notes/sbom-image-$image.cdx.json"
done
"$python" -c 'import json
sbom = json.load(open(".release/notes/sbom.cdx.json"))
parts = [it["name"] + " " + it["version"] for it in sbom["components"]]
print(sbom["bomFormat"], sbom["specVersion"] + ":", ", ".join(parts))'

echo "== shardmill $version${tag:+, tag $tag}: passed"
(cd .release && "$python" -c 'import hashlib, pathlib
for path in sorted(pathlib.Path("dist").iterdir()):
    print(hashlib.sha256(path.read_bytes()).hexdigest(), path, path.stat().st_size, "bytes")')
