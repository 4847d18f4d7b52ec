"""What tests/bench/faults.py kills a rank of: torchft's LocalSGD, or local SGD that torchrun restarts.

    peer_faults.py lighthouse DIR       torchft's coordinator; writes its address to DIR/lighthouse
    peer_faults.py torchft DIR RANK     one of four replicas
    peer_faults.py torchrun DIR         one of four ranks; torch.distributed.run says which

The same net, batch, H and optimizer as in the longstride job. torchrun's ranks write a checkpoint each round, all
of them restart from it. Every local step adds a line "begin end step round" to DIR/steps-RANK: Unix seconds, local
steps and rounds that the rank's state holds. DIR/pid-RANK is the rank's present process. Nothing outlives --seconds.
"""

import argparse
import os
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from peer_torch import Cnn, load

WORLD = 4


class Training:
    """A net, its optimizer and its data; step() takes a local step and writes it down."""

    def __init__(self, a, rank):
        torch.manual_seed(a.seed)
        self.batch, self.steps, self.rounds = a.batch, 0, 0
        self.x, self.y = load(a.data, "train")
        self.net = Cnn()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
        self.generator = torch.Generator().manual_seed(1000 * a.seed + rank)
        self.log = open(a.dir / f"steps-{rank}", "a", buffering=1)
        (a.dir / f"pid-{rank}").write_text(str(os.getpid()))

    def step(self):
        begin = time.time()
        mine = torch.randint(len(self.y), (self.batch,), generator=self.generator)
        self.optimizer.zero_grad()
        F.cross_entropy(self.net(self.x[mine]), self.y[mine]).backward()
        end = time.time()
        self.steps += 1
        self.log.write(f"{begin:.6f} {end:.6f} {self.steps} {self.rounds}\n")
        self.optimizer.step()  # torchft synchronizes in here

    def state(self):
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "steps": self.steps,
                "rounds": self.rounds}

    def load(self, state):
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.rounds = state["steps"], state["rounds"]


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the other ranks have not come")
        time.sleep(0.05)


def lighthouse(a):
    from torchft.coordination import LighthouseServer
    server = LighthouseServer(bind="[::]:0", min_replicas=1)
    partial = a.dir / "lighthouse.partial"
    partial.write_text("http://127.0.0.1:" + server.address().rsplit(":", 1)[1])
    partial.rename(a.dir / "lighthouse")
    time.sleep(a.seconds)


def torchft(a):
    from torchft import Manager, ProcessGroupGloo
    from torchft.local_sgd import LocalSGD
    training = Training(a, a.rank)
    timeout = timedelta(seconds=a.timeout)
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    wait_for((a.dir / "lighthouse").exists)
    manager = Manager(pg=ProcessGroupGloo(timeout=timeout), load_state_dict=training.load, state_dict=training.state,
                      min_replica_size=1, use_async_quorum=False, timeout=timeout, init_sync=False,
                      rank=0, world_size=1, store_addr="127.0.0.1", store_port=store.port, hostname="127.0.0.1",
                      lighthouse_addr=(a.dir / "lighthouse").read_text(), replica_id=f"replica_{a.rank}")
    wait_for(lambda: len(list(a.dir.glob("pid-*"))) == WORLD)
    end = time.monotonic() + a.seconds
    with LocalSGD(manager, training.net, training.optimizer, sync_every=a.local_steps):
        while time.monotonic() < end:
            training.step()
            training.rounds = manager.current_step()


def torchrun(a):
    rank = int(os.environ["RANK"])
    training = Training(a, rank)
    # Not --timeout: restarted ranks come seconds apart, and connections to a killed one end at once anyhow.
    dist.init_process_group("gloo", timeout=timedelta(minutes=2))
    checkpoint = a.dir / "checkpoint"
    dist.barrier()
    if checkpoint.exists():
        training.load(torch.load(checkpoint))
    dist.barrier()
    end = time.monotonic() + a.seconds
    while time.monotonic() < end:
        for _ in range(a.local_steps):
            training.step()
        mean = parameters_to_vector(training.net.parameters()).detach()
        dist.all_reduce(mean)
        vector_to_parameters(mean / WORLD, training.net.parameters())
        training.rounds += 1
        if rank == 0:
            torch.save(training.state(), a.dir / "checkpoint.partial")
            (a.dir / "checkpoint.partial").rename(checkpoint)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("role", choices=["lighthouse", "torchft", "torchrun"])
    p.add_argument("dir", type=Path)
    p.add_argument("rank", type=int, nargs="?", default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--batch", type=int, default=64, help="of each rank")
    p.add_argument("--local-steps", type=int, default=16)
    p.add_argument("--timeout", type=float, default=10, help="of collectives, seconds")
    p.add_argument("--seconds", type=float, default=300, help="train no longer")
    p.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    a = p.parse_args()
    {"lighthouse": lighthouse, "torchft": torchft, "torchrun": torchrun}[a.role](a)


if __name__ == "__main__":
    main()
