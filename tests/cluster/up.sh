#!/usr/bin/env bash
# up.sh: starts whatever of the cluster is not running: the control plane on the host, and each node in
# namespaces of its own with its own containerd, kubelet and kube-proxy. Needs root and the kit (build.sh).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ -e "$BIN/.complete" ] || { echo "up: no kit at $KIT; run tests/cluster/build.sh" >&2; exit 1; }
began=$EPOCHREALTIME
say() { printf '%5.1f s  %s\n' "$(((${EPOCHREALTIME/./} - ${began/./}) / 100000))e-1" "$*"; }

# render FILE N: fills a template of config/ in for node N
render() {
  sed -e "s#@NODE@#node$2#g; s#@NODE_IP@#$(node_ip "$2")#g; s#@POD_RANGE@#$(pod_range "$2")#g" \
    -e "s#@DIR@#$STATE/node$2#g; s#@CGROUP@#lsc-node$2#g; s#@PKI@#$PKI#g; s#@DNS_IP@#$DNS_IP#g" "$CLUSTER/config/$1"
}

create_bridge() {
  modprobe br_netfilter 2>/dev/null || true # may be part of the kernel
  ip link show "$BRIDGE" >/dev/null 2>&1 && return
  ip link add "$BRIDGE" type bridge
  ip addr add "$HOST_IP/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
}

create_network() {
  local n=$1 other netns=lsc-node$1
  ip netns add "$netns"
  ip link add "lscv$n" type veth peer name eth0 netns "$netns"
  ip link set "lscv$n" master "$BRIDGE" up
  ip -n "$netns" link set lo up
  ip -n "$netns" addr add "$(node_ip "$n")/24" dev eth0
  ip -n "$netns" link set eth0 up
  ip -n "$netns" route add default via "$HOST_IP"
  for other in "${NODES[@]}"; do
    [ "$other" = "$n" ] || ip -n "$netns" route add "$(pod_range "$other")" via "$(node_ip "$other")"
  done
  # Tests and webhooks on the host reach pods directly, and cluster IPs through the first node's proxy.
  ip route replace "$(pod_range "$n")" via "$(node_ip "$n")"
  ip route replace "$SERVICES" via "$(node_ip "${NODES[0]}")"
  nsenter "--net=/run/netns/$netns" sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
}

create_cgroups() {
  local controller list
  if [ -e "$CGROUP2/cgroup.controllers" ]; then
    mkdir -p "$CGROUP2/lsc-node$1"
    echo "+cpu +cpuset +memory +pids +io" | tee "$CGROUP2/cgroup.subtree_control" \
      >"$CGROUP2/lsc-node$1/cgroup.subtree_control"
    return
  fi
  for controller in "${CGROUPS[@]}"; do
    [ "$controller" != unified ] && [ -d "/sys/fs/cgroup/$controller" ] &&
      mkdir -p "/sys/fs/cgroup/$controller/lsc-node$1"
  done
  for list in cpuset.cpus cpuset.mems; do
    cat "/sys/fs/cgroup/cpuset/$list" >"/sys/fs/cgroup/cpuset/lsc-node$1/$list"
  done
}

create_node() {
  local n=$1 dir=$STATE/node$1 file
  mkdir -p "$dir"/{config/cni,kubelet,containerd,cni} /var/lib/{kubelet,containerd,cni}
  render cni.conflist "$n" >"$dir/config/cni/pods.conflist"
  for file in containerd.toml kubelet.yaml proxy.yaml; do render "$file" "$n" >"$dir/config/$file"; done
  : >"$dir/config/resolv.conf"
  create_network "$n"
  create_cgroups "$n"
  rm -f "$dir/ready"
  daemon "node$n" nsenter "--net=/run/netns/lsc-node$n" \
    unshare --pid --fork --mount --ipc --uts --propagation private \
    bash "$CLUSTER/node-init.sh" "node$n" "$dir"
  record_child "node$n" $!
  wait_until 10 "node$n's namespaces" test -e "$dir/ready"
}

start_control_plane() {
  local name
  start etcd "$BIN/etcd" --data-dir="$STATE/etcd" --unsafe-no-fsync --log-level=warn \
    --listen-client-urls="$ETCD" --advertise-client-urls="$ETCD" --listen-peer-urls="${ETCD%:*}:2380" \
    --initial-advertise-peer-urls="${ETCD%:*}:2380" --initial-cluster="default=${ETCD%:*}:2380"
  start apiserver "$BIN/kube-apiserver" --etcd-servers="$ETCD" \
    --bind-address="$HOST_IP" --advertise-address="$HOST_IP" --secure-port=6443 \
    --service-cluster-ip-range="$SERVICES" --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction --allow-privileged=true --profiling=false \
    --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --kubelet-client-certificate="$PKI/apiserver-to-kubelet.crt" \
    --kubelet-client-key="$PKI/apiserver-to-kubelet.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$PKI/service-accounts.pub" \
    --service-account-signing-key-file="$PKI/service-accounts.key" \
    --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
    --requestheader-username-headers=X-Remote-User \
    --proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key" \
    --default-not-ready-toleration-seconds=5 --default-unreachable-toleration-seconds=5
  wait_until 60 "the API server" kubectl get --raw /readyz --request-timeout=2s
  name='controller-manager'
  start "$name" "$BIN/kube-controller-manager" --kubeconfig="$PKI/$name.kubeconfig" \
    --authentication-kubeconfig="$PKI/$name.kubeconfig" --authorization-kubeconfig="$PKI/$name.kubeconfig" \
    --bind-address="$CONTROL_IP" --leader-elect=false --use-service-account-credentials \
    --service-account-private-key-file="$PKI/service-accounts.key" --root-ca-file="$PKI/ca.crt" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
    --allocate-node-cidrs=false --node-monitor-period=1s \
    --node-monitor-grace-period="${NODE_GRACE:-10s}" \
    --kube-api-qps="${REQUESTS_PER_SECOND:-200}" --kube-api-burst=$((2 * ${REQUESTS_PER_SECOND:-200}))
  name=scheduler
  start "$name" "$BIN/kube-scheduler" --kubeconfig="$PKI/$name.kubeconfig" \
    --authentication-kubeconfig="$PKI/$name.kubeconfig" --authorization-kubeconfig="$PKI/$name.kubeconfig" \
    --bind-address="$CONTROL_IP" --leader-elect=false --kube-api-qps=500 --kube-api-burst=1000
}

start_kubelet() {
  start_on "$1" kubelet "$BIN/kubelet" --config="$STATE/node$1/config/kubelet.yaml" \
    --kubeconfig="$PKI/node$1.kubeconfig" --hostname-override="node$1" --node-ip="$(node_ip "$1")"
  start_on "$1" proxy "$BIN/kube-proxy" --config="$STATE/node$1/config/proxy.yaml"
}

mkdir -p "$STATE"/{run,log}
if [ ! -d "$STORE" ]; then
  "$CLUSTER/pki.sh"
  mkdir -m 777 "$STORE"
fi
create_bridge
imports=()
for n in "${NODES[@]}"; do
  if ! running "node$n" >/dev/null; then
    remove_node "$n" # what an earlier life left, as after a power cut
    create_node "$n"
  fi
  start_on "$n" containerd containerd --config "$STATE/node$n/config/containerd.toml"
  "$CLUSTER/load.sh" --node "$n" "$KIT"/images/*.tar &
  imports+=($!)
done
say "nodes created"
start_control_plane
say "control plane started"
for n in "${NODES[@]}"; do start_kubelet "$n"; done
for pid in "${imports[@]}"; do wait "$pid"; done
say "images imported"
for n in "${NODES[@]}"; do
  wait_until 120 "node$n to be Ready" kubectl wait --for=condition=Ready "node/node$n" --timeout=1s
done
say "nodes Ready"
render coredns.yaml 1 | kubectl apply --server-side -f - >/dev/null
wait_until 30 "the default service account" kubectl --namespace default get serviceaccount default
say "up; export KUBECONFIG=$KUBECONFIG"
