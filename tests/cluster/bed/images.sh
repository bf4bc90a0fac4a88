# Images by buildah, in a storage of its own and never from a registry. Sourced by cluster.sh.

bud() {
  CONTAINERS_REGISTRIES_CONF=$CACHE/registries.conf \
    buildah --root "$CACHE/buildah" --runroot "$STATE/buildah-run" --storage-driver overlay "$@"
}

bud_setup() {
  command -v buildah >/dev/null || die "buildah is missing; run: cluster.sh deps"
  mkdir -p "$CACHE" "$STATE/buildah-run"
  # Short names (python:3.11-slim) mean docker.io/library/..., found in the local storage.
  printf 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n' >"$CACHE/registries.conf"
  # Build steps trust what this machine trusts, through mounts: nothing of it is baked in.
  printf '[global]\ncert = %s\n' "$CA_BUNDLE" >"$CACHE/pip.conf"
  printf 'native-tls = true\n' >"$CACHE/uv.toml"
}

# Debian and its Python under the name that the Dockerfile uses.
base_image() {
  bud_setup
  if [[ -n $(bud images -q "$BASE_IMAGE" 2>/dev/null) ]]; then return 0; fi
  local folder=$CACHE/base mirror name python
  mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  rm -rf "$folder"
  mkdir -p "$folder"
  # shellcheck disable=SC2086
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
    "$BASE_SUITE" "$folder/root" $mirror >"$CACHE/debootstrap.log" 2>&1 || die "debootstrap failed; see $CACHE/debootstrap.log"
  (
    cd "$folder/root"
    rm -rf var/cache/apt/archives/*.deb var/lib/apt/lists/* usr/share/{doc,man,locale} usr/lib/python3*/EXTERNALLY-MANAGED
    python=$(basename "$(readlink -f usr/bin/python3)")
    for name in python python3 "$python"; do ln -sf /usr/bin/python3 "usr/local/bin/$name"; done
  )
  cat >"$folder/Dockerfile" <<'DOCKER'
FROM scratch
COPY root/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["python3"]
DOCKER
  bud bud -q --isolation chroot --layers=false -t "$BASE_IMAGE" "$folder" >/dev/null
  rm -rf "$folder"
}

# build_image TAG DIR [BUILD ARGUMENTS]
build_image() {
  local tag=$1 folder=$2
  shift 2
  bud_setup
  bud bud --isolation chroot --pull-never --layers --build-arg "BASE_IMAGE=$BASE_IMAGE" -t "$tag" \
    -v "$CA_BUNDLE:$CA_BUNDLE:ro" -v "$CACHE/pip.conf:/etc/pip.conf:ro" -v "$CACHE/uv.toml:/etc/uv/uv.toml:ro" "$@" "$folder"
}

# load_built TAG: from the builder's storage into the cluster's, unless the cluster has that very image
load_built() {
  bud_setup
  local id archive
  id=$(bud images -q --no-trunc "$1") || die "there is no image $1 to load; build it first"
  if [[ $(cat "$STATE/loaded/${1//\//_}" 2>/dev/null) == "$id" ]]; then return 0; fi
  archive=$(mktemp -u "$STATE/image.XXXXXX")
  bud push -q "$1" "docker-archive:$archive:$1"
  load_image "$archive"
  rm -f "$archive"
  mkdir -p "$STATE/loaded"
  echo "$id" >"$STATE/loaded/${1//\//_}"
}

load_image() { tbctr images import "$1" >/dev/null; }
