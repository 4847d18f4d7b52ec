# Two commands do everything on a fresh Debian 12 machine as root: `make demo` and `make test`.
SHELL := /bin/bash
BUILD := build/release
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local

.DEFAULT_GOAL := help
.PHONY: help deps build demo test test-long test-asan test-tsan coverage bench verify format install clean \
        bench-peers bench-overhead bench-allreduce bench-resume bench-normtest \
        bench-parity bench-heterogeneous bench-faults bench-rescale bench-skew bench-garbage bench-coordinator bench-controller \
        cuda-check tidy \
        e2e cluster-up cluster-down images

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 21

deps: ## Install every dependency (pinned; skips what is there)
	@scripts/install-deps.sh

build: deps ## Build everything with tests (build/release)
	@scripts/build.sh release

demo: deps ## Train a CNN on Fashion-MNIST with four local workers, and show what was saved
	@scripts/build.sh release longstride longstride-worker
	$(BUILD)/bin/longstride run manifests/fashion-mnist.yaml --workers 4

test: build ## All tests: release, then sanitizers over everything that does not need LibTorch
	@scripts/test.sh

test-asan: deps ## Everything that needs no LibTorch under the address, leak and undefined-behaviour sanitizers
	@scripts/test-asan.sh

test-tsan: deps ## The threaded part alone under the thread sanitizer
	@scripts/test-tsan.sh

test-long: build ## Long tests: fuzzers (60 s each), 10,000 simulated seeds, chaos, memory limits
	@scripts/build.sh fuzz && ctest --test-dir build/fuzz --output-on-failure -L long
	@ctest --test-dir build/release --output-on-failure -L long

coverage: deps ## Line coverage of core
	@scripts/coverage.sh

bench: bench-allreduce bench-overhead bench-peers bench-resume bench-normtest bench-parity ## All benchmarks; figures go to build/bench
bench: bench-heterogeneous bench-faults bench-rescale bench-skew bench-garbage bench-coordinator bench-controller

bench-peers: build ## Against torch DDP, DDP + bf16 hook and PostLocalSGD over slow links
	@scripts/install-deps.sh peers && tests/bench/peers.sh

bench-overhead: build ## Against a bare LibTorch loop and a Python torch loop
	@scripts/install-deps.sh peers && tests/bench/overhead.sh

bench-allreduce: build ## All-reduce against the ring bound and bare c10d
	@scripts/build.sh release allreduce_bench && tests/bench/allreduce.py build/release

bench-resume: build ## kill -9 at 20 seeded moments, resume, compare bit for bit
	@tests/bench/resume.sh

bench-normtest: build ## Rounds and samples of the growing batch against the fixed one
	@tests/bench/normtest.sh

bench-parity: build ## Losses of gpt-bytes and torchscript against plain torch loops
	@scripts/install-deps.sh peers && tests/bench/parity.sh

bench-heterogeneous: build ## Batches by speed against equal batches under unlike CPU quotas
	@tests/bench/heterogeneous.sh

bench-faults: build ## Survivors' pause after kill -9, SIGSTOP and partition, beside torchft and torchrun
	@scripts/install-deps.sh peers && tests/bench/faults.sh

bench-skew: build ## H by the skew of unlike local data against a fixed H
	@tests/bench/skew.sh

bench-garbage: build ## One worker of four feeding garbage, by aggregation
	@tests/bench/garbage.sh

bench-rescale: build ## Two, four, then three workers, live: throughput and what it costs the others
	@tests/bench/rescale.sh

bench-coordinator: build ## 1,000 simulated workers over TLS, 10,000 against the state machine
	@mkdir -p build/bench && $(BUILD)/bin/coordinator_load --out build/bench/coordinator.json

bench-controller: build ## 1,000 jobs on a fake API server; on a real cluster beside Job, JobSet and Kubeflow Trainer
	@tests/bench/controller.sh

cuda-check: deps ## Compile and link the CUDA and NCCL paths (no GPU needed)
	@scripts/cuda-check.sh

images: build ## Container images as archives in build/images, made without a container engine
	@images/build.sh

cluster-up: ## Start a Kubernetes cluster of two nodes on this machine (first time: 11 CPU-minutes of compiling)
	@tests/cluster/build.sh && tests/cluster/up.sh

cluster-down: ## Stop it and remove every trace
	@tests/cluster/down.sh

e2e: ## Tests on that cluster, from nothing, leaving nothing
	@tests/cluster/e2e.sh

verify: build ## Regenerate everything generated and fail if git is dirty; check format
	@scripts/verify.sh

tidy: build ## clang-tidy over core and controller; a file that was clean is checked again only after changes
	@scripts/tidy.sh

format: deps ## Format the C++ sources
	@git ls-files '*.h' '*.cpp' | xargs clang-format-14 -i

install: build ## Install a relocatable tree under PREFIX (default /usr/local)
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## Remove the build trees
	rm -rf build
