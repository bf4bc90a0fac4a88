# Certificates and kubeconfigs. Sourced by cluster.sh.

ca() { # ca NAME
  [[ -s $PKI/$1.crt ]] && return 0
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -subj "/CN=$1" 2>/dev/null
}
cert() { # cert CA NAME SUBJECT USAGE [SANS]
  local ca=$1 n=$2 subj=$3 use=$4 san=${5:-}
  [[ -s $PKI/$n.crt ]] && return 0
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$PKI/$n.key" -out "$PKI/$n.csr" -subj "$subj" 2>/dev/null
  { echo "basicConstraints=CA:FALSE"; echo "keyUsage=digitalSignature,keyEncipherment"
    echo "extendedKeyUsage=$use"; [[ -z $san ]] || echo "subjectAltName=$san"; } >"$PKI/$n.ext"
  openssl x509 -req -in "$PKI/$n.csr" -CA "$PKI/$ca.crt" -CAkey "$PKI/$ca.key" -CAcreateserial \
    -days 3650 -extfile "$PKI/$n.ext" -out "$PKI/$n.crt" 2>/dev/null
}
kubeconfig() { # kubeconfig NAME : from $PKI/NAME.{crt,key}
  cat >"$CFG/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: tb, cluster: {server: "https://$HOST_IP:6443", certificate-authority: $PKI/ca.crt}}]
users: [{name: $1, user: {client-certificate: $PKI/$1.crt, client-key: $PKI/$1.key}}]
contexts: [{name: tb, context: {cluster: tb, user: $1}}]
current-context: tb
YAML
  chmod 600 "$CFG/$1.kubeconfig"
}
first_svc_ip() { python3 -c 'import ipaddress,sys;print(ipaddress.ip_network(sys.argv[1])[1])' "$SVC_CIDR"; }
make_pki() {
  ca ca; ca front-proxy-ca
  cert ca apiserver /CN=kube-apiserver serverAuth \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.$CLUSTER_DOMAIN,DNS:localhost,IP:127.0.0.1,IP:$HOST_IP,IP:$(first_svc_ip)"
  cert ca apiserver-kubelet-client "/O=system:masters/CN=kube-apiserver-kubelet-client" clientAuth
  cert front-proxy-ca front-proxy-client /CN=front-proxy-client clientAuth
  cert ca kubelet-server "/O=system:nodes/CN=system:node:$NODE" serverAuth "DNS:$NODE,IP:$HOST_IP"
  cert ca kubelet "/O=system:nodes/CN=system:node:$NODE" clientAuth
  cert ca admin "/O=system:masters/CN=admin" clientAuth
  cert ca kube-controller-manager /CN=system:kube-controller-manager clientAuth
  cert ca kube-scheduler /CN=system:kube-scheduler clientAuth
  cert ca kube-proxy /CN=system:kube-proxy clientAuth
  [[ -s $PKI/sa.key ]] || { openssl genrsa -out "$PKI/sa.key" 2048 2>/dev/null
                            openssl rsa -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null; }
  local u; for u in admin kubelet kube-controller-manager kube-scheduler kube-proxy; do kubeconfig $u; done
}

