"""Batches by what fits: halving where memory runs out, growing where there is room; nothing lost, nothing done twice."""

import threading
from dataclasses import dataclass, field

import pytest
import torch

from gifcli.compute.batching import BatchLimit, batched, out_of_memory
from gifcli.errors import EnvironmentFault

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@dataclass
class Device:
    """A device with room for so many bytes; each row of a batch takes 10."""

    bytes: int
    taken: int = 0
    released: int = 0
    tried: list[int] = field(default_factory=list)

    def start(self) -> None:
        self.taken = 0

    def used(self) -> int:
        return self.taken

    def room(self) -> int:
        return self.bytes

    def release(self) -> None:
        self.released += 1

    def work(self, batch: list[int], rows: int) -> list[int]:
        self.tried.append(len(batch))
        self.taken = 10 * len(batch)
        if self.taken > self.bytes:
            raise FULL
        return [place * place for place in batch]


def run(places: range, limit: BatchLimit, device: Device) -> list[list[int]]:
    done = list(batched(places, limit, device.work))
    assert [place for batch, _ in done for place in batch] == list(places)  # each once, in order
    assert [result for _, results in done for result in results] == [place * place for place in places]
    return [batch for batch, _ in done]


def test_a_constant_stays_one() -> None:
    assert [len(batch) for batch in run(range(10), BatchLimit(4), Device(1000))] == [4, 4, 2]


@pytest.mark.parametrize("room", [10, 25, 70, 155])
def test_it_halves_where_memory_runs_out_and_stays_there(room: int) -> None:
    device, limit = Device(room), BatchLimit(32)
    sizes = [len(batch) for batch in run(range(50), limit, device)]
    fits = 1 << (room // 10).bit_length() - 1
    assert set(sizes[:-1]) == {fits}
    assert limit.rows == fits
    assert len(device.tried) == len(sizes) + (
        5 - (fits.bit_length() - 1)
    )  # each size that was too large was tried once
    before = len(device.tried)
    run(range(fits), limit, device)  # the next shard
    assert len(device.tried) == before + 1


def test_a_single_row_that_does_not_fit_is_one_clear_line() -> None:
    with pytest.raises(EnvironmentFault, match="out of memory with a batch of one; try a smaller --size"):
        list(batched(range(3), BatchLimit(8), Device(5).work))


@pytest.mark.parametrize(("room", "largest"), [(700, 32), (5000, 256), (100_000, 256), (30, 2), (45, 4)])
def test_auto_finds_the_largest_that_fits(room: int, largest: int) -> None:
    """In powers of two, up to 256, with a tenth of the room to spare; without ever running out, but for the first."""
    device = Device(room)
    limit = BatchLimit(4, 256, device)
    run(range(2000), limit, device)
    assert limit.rows == largest
    assert max(size for size in device.tried if 10 * size <= room) == largest
    assert device.released == (room < 40)


def test_what_did_not_fit_is_not_tried_again_though_there_seems_to_be_room() -> None:
    """Fragmented: 64 rows fail though the free memory says that they fit."""
    device = Device(1000)

    def work(batch: list[int], rows: int) -> list[int]:
        device.tried.append(len(batch))
        device.taken = 10 * len(batch)
        if len(batch) >= 64:
            raise FULL
        return batch

    limit = BatchLimit(4, 256, device)
    done = [place for batch, _ in batched(range(400), limit, work) for place in batch]
    assert done == list(range(400))
    assert device.tried.count(64) == 1
    assert limit.rows == 32


def test_rows_of_a_place_are_counted_together() -> None:
    """Siblings: a place is never split, but `rows` tells how many may go through a model at a time."""
    seen: list[tuple[int, int]] = []

    def work(batch: list[int], rows: int) -> None:
        seen.append((len(batch), rows))
        if rows > 2:
            raise FULL

    limit = BatchLimit(16)
    list(batched(range(4), limit, work, rows_each=5))
    assert seen == [(3, 16), (1, 8), (1, 4), *[(1, 2)] * 4]


def test_a_bug_is_no_lack_of_memory() -> None:
    def work(batch: list[int], rows: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        list(batched(range(3), BatchLimit(8), work))
    assert out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
    assert out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))


def test_threads_that_share_a_device_take_turns() -> None:
    inside = 0

    def work(batch: list[int], rows: int) -> int:
        nonlocal inside
        inside += 1
        assert inside == 1
        threading.Event().wait(0.002)
        inside -= 1
        return 0

    limit, failures = BatchLimit(1, turn=threading.Lock()), []

    def shard() -> None:
        try:
            list(batched(range(10), limit, work))
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=shard) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_every_batch_is_a_sign_of_life_even_one_that_failed() -> None:
    beats: list[int] = []
    list(batched(range(4), BatchLimit(4, beat=lambda: beats.append(1)), Device(25).work))
    assert len(beats) == 3
