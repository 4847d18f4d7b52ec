#!/usr/bin/env bash
# pki.sh: one CA for everything, the certificates of every component, and their kubeconfigs, in $PKI.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
mkdir -p "$PKI"
chmod 700 "$PKI"
cd "$PKI"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

authority() {
  key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 30 -out "$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# certificate NAME AUTHORITY SUBJECT USAGE [ALTERNATIVE NAMES]
certificate() {
  key "$1"
  openssl req -new -key "$1.key" -subj "$3" -out request
  {
    echo "keyUsage=digitalSignature"
    echo "extendedKeyUsage=$4"
    [ -z "${5:-}" ] || echo "subjectAltName=$5"
  } >extensions
  openssl x509 -req -in request -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 30 \
    -extfile extensions -out "$1.crt" 2>/dev/null
  rm request extensions
}

# client NAME SUBJECT: a certificate and the kubeconfig that uses it
client() {
  certificate "$1" ca "$2" clientAuth
  cat >"$1.kubeconfig" <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://$HOST_IP:6443", certificate-authority: $PKI/ca.crt}}]
users: [{name: $1, user: {client-certificate: $PKI/$1.crt, client-key: $PKI/$1.key}}]
contexts: [{name: test, context: {cluster: test, user: $1}}]
current-context: test
CONFIG
}

authority ca
authority front-proxy-ca
openssl genrsa -out service-accounts.key 2048 2>/dev/null
openssl rsa -in service-accounts.key -pubout -out service-accounts.pub 2>/dev/null
# 10.214.0.1, the first of the range, is the Service kubernetes.
certificate apiserver ca /CN=kube-apiserver serverAuth \
  "DNS:kubernetes.default.svc.cluster.local,DNS:kubernetes.default.svc,IP:${SERVICES%0/*}1,IP:$HOST_IP"
certificate apiserver-to-kubelet ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
certificate front-proxy front-proxy-ca /CN=front-proxy-client clientAuth
client admin /O=system:masters/CN=admin
client controller-manager /CN=system:kube-controller-manager
client scheduler /CN=system:kube-scheduler
client proxy /CN=system:kube-proxy
for n in "${NODES[@]}"; do
  client "node$n" "/O=system:nodes/CN=system:node:node$n"
  certificate "node$n-serving" ca "/O=system:nodes/CN=system:node:node$n" serverAuth "DNS:node$n,IP:$(node_ip "$n")"
done
