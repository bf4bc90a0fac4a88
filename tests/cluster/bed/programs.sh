# Debian packages, and programs from Go modules. Sourced by cluster.sh.

deps() {
  apt-get update -qq
  # RUNLEVEL=1: package scripts start no services.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    containerd runc containernetworking-plugins etcd-server buildah debootstrap \
    iptables nftables conntrack iproute2 openssl python3 ca-certificates
}

# k8s.io/kubernetes cannot be installed by `go install`, for its go.mod replaces modules. A module with that go.mod,
# its ./staging replacements turned into published versions, has exactly upstream's dependencies.
kubernetes_module() {
  local folder=$CACHE/go/kubernetes upstream
  mkdir -p "$folder"
  if ! grep -qs "k8s.io/kubernetes v$K8S_VERSION\$" "$folder/go.mod"; then
    upstream=$(cd "$folder" && module_field "k8s.io/kubernetes@v$K8S_VERSION" GoMod)
    {
      sed -e 's#^module .*#module testbed#' -e "s#=> ./staging/src/\(.*\)#=> \1 v0.${K8S_VERSION#*.}#" "$upstream"
      printf '\nrequire k8s.io/kubernetes v%s\n' "$K8S_VERSION"
    } >"$folder/go.mod"
  fi
  cp -r "$BED"/go/{hyperkube,pause,provisioner} "$folder/"
}

coredns_module() {
  local folder=$CACHE/go/coredns
  mkdir -p "$folder"
  cp "$BED/go/coredns/main.go" "$folder/"
  if grep -qs "coredns v$COREDNS_VERSION\$" "$folder/go.mod"; then return 0; fi
  (
    cd "$folder"
    rm -f go.mod go.sum
    go mod init testbed-dns
    go get "github.com/coredns/coredns@v$COREDNS_VERSION"
    go mod tidy
  ) 2>/dev/null
}

# module_field MODULE@VERSION FIELD
module_field() { go mod download -json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"; }

# once NAME VERSION COMMAND...: not again while the program is there in this version
once() {
  local name=$1 version=$2 began=$SECONDS
  shift 2
  if [[ -x $BIN/$name && $(cat "$BIN/.built/$name" 2>/dev/null) == "$version" ]]; then return 0; fi
  "$@"
  echo "$version" >"$BIN/.built/$name"
  say "built $name in $((SECONDS - began)) s, $(du -m "$BIN/$name" | cut -f 1) MiB"
}

# compile FOLDER PACKAGE NAME [LINKER FLAGS]
compile() {
  (cd "$1" && CGO_ENABLED=0 GOFLAGS="-mod=mod -buildvcs=false" go build -trimpath -ldflags "-s -w ${4:-}" -o "$BIN/$3" "$2")
}

# install NAME PACKAGE VERSION
install_go() {
  local into
  into=$(mktemp -d "$CACHE/go/XXXXXX")
  GOBIN=$into CGO_ENABLED=0 GOFLAGS="-mod=mod -buildvcs=false" go install -trimpath -ldflags "-s -w" "$2@v$3"
  mv "$into"/* "$BIN/$1"
  rmdir "$into"
}

# The version strings that upstream's own build sets; without them charts see Kubernetes v0.0.0.
version_flags() {
  local package minor=${K8S_VERSION#*.}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- ' -X %s.gitVersion=v%s -X %s.gitMajor=%s -X %s.gitMinor=%s' \
      "$package" "$K8S_VERSION" "$package" "${K8S_VERSION%%.*}" "$package" "${minor%%.*}"
  done
}

source_version() { echo "$2 $(sha256sum <"$BED/go/$1/main.go" | cut -c -12)"; }

build() {
  command -v go >/dev/null || die "the programs are built from source, and there is no Go here"
  mkdir -p "$BIN/.built" "$CACHE/go"
  local wanted
  for wanted in "${@:-kubernetes}"; do
    case $wanted in
      kubernetes) build_kubernetes && build_coredns && build helm kwok ;;
      helm) once helm "$HELM_VERSION" install_go helm helm.sh/helm/v4/cmd/helm "$HELM_VERSION" ;;
      helm3) once helm3 "$HELM3_VERSION" install_go helm3 helm.sh/helm/v3/cmd/helm "$HELM3_VERSION" ;;
      kwok) once kwok "$KWOK_VERSION" build_kwok ;;
      *) die "there is no program $wanted to build; there are kubernetes, helm, helm3, kwok" ;;
    esac
  done
}

build_kubernetes() {
  local program folder=$CACHE/go/kubernetes
  kubernetes_module
  # One binary for all six, told apart by name, is a quarter of their size.
  once hyperkube "$(source_version hyperkube "$K8S_VERSION")" compile "$folder" ./hyperkube hyperkube "$(version_flags)"
  for program in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -sf hyperkube "$BIN/$program"
  done
  once pause "$(source_version pause 1)" compile "$folder" ./pause pause
  once provisioner "$(source_version provisioner "$K8S_VERSION")" compile "$folder" ./provisioner provisioner
}

build_coredns() {
  coredns_module
  once coredns "$(source_version coredns "$COREDNS_VERSION")" compile "$CACHE/go/coredns" . coredns
}

build_kwok() {
  local stages file
  install_go kwok sigs.k8s.io/kwok/cmd/kwok "$KWOK_VERSION"
  # kwok stops where it is given no stages; its module carries them.
  stages=$(module_field "sigs.k8s.io/kwok@v$KWOK_VERSION" Dir)/kustomize/stage
  for file in "$stages"/node/fast/node-*.yaml "$stages"/node/heartbeat-with-lease/node-*.yaml "$stages"/pod/fast/pod-*.yaml; do
    cat "$file"
    printf '\n---\n'
  done >"$BIN/kwok-stages.yaml"
}
