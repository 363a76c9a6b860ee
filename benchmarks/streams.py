"""What events cost between processes: `python -m benchmarks.streams [--json]`.

Two parts, each with senders in this process and receivers in processes of their own:

steady      20 symbols, 19 batches of 68 events a second each: one-way latency from `send` to
            `recv`, and CPU per batch on both sides
saturation  one symbol as fast as it goes: events and batches (`send` calls) per second
"""

import argparse
import json
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np

from alphaplus.errors import StreamClosed
from alphaplus.events import empty_events
from alphaplus.latency import LatencyHistogram
from alphaplus.streams import (
    EventReceiver,
    EventSender,
    StreamKeys,
    Transport,
    make_run_directory,
)

BATCH_EVENTS: Final = 68
SYMBOLS: Final = 20
BATCHES_PER_S: Final = 19
STEADY_S: Final = 5.0
SATURATED_S: Final = 2.0
WARM_UP_S: Final = 0.5


def receive(transport: Transport, pipe: Connection) -> None:
    """Receive until told to stop, then report; the body of a receiving process."""
    latencies, events, cpu = LatencyHistogram(), 0, 0.0
    receiver = EventReceiver(transport)
    pipe.send(receiver.endpoint)
    threading.Thread(target=close_when_told, args=(receiver, pipe)).start()
    with suppress(StreamClosed):
        while True:
            for batch in receiver.recv():
                if events == 0:
                    cpu = time.process_time()
                events += len(batch.events)
                sent = batch.events["ts_event"][::BATCH_EVENTS]
                now = time.time_ns()
                latencies.record(now - sent if len(sent) > 1 else now - int(sent[0]))
    cpu = time.process_time() - cpu
    pipe.send((latencies.to_bytes(), events, receiver.counters.holes, cpu))


def close_when_told(receiver: EventReceiver, pipe: Connection) -> None:
    """Wait for the word and end `receive`."""
    pipe.recv()
    receiver.close()


@contextmanager
def receiving(transport: Transport) -> Iterator[Connection]:
    """Start a receiving process, which tells its endpoint first; it ends with the block."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=receive, args=(transport, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        process.join(10)
        process.kill()
        here.close()


def report(pipe: Connection) -> tuple[LatencyHistogram, int, int, float]:
    """Stop a receiver and return its latencies, events, holes and CPU seconds."""
    pipe.send("stop")
    packed, events, holes, cpu = pipe.recv()
    return LatencyHistogram.from_bytes(packed), events, holes, cpu


def connect_all(
    stack: ExitStack, transport: Transport, count: int
) -> tuple[list[EventSender], list[Connection]]:
    """Start `count` receivers and a sender to each; returns senders and pipes."""
    pipes = [stack.enter_context(receiving(transport)) for _ in range(count)]
    senders = [
        stack.enter_context(
            EventSender(pipe.recv(), name="bench", exchange="bench", keys=transport.keys)
        )
        for pipe in pipes
    ]
    time.sleep(WARM_UP_S)
    return senders, pipes


def steady(transport: Transport) -> dict[str, float | int]:
    """Send evenly spread batches, as a feed does, and collect latencies."""
    with ExitStack() as stack:
        senders, pipes = connect_all(stack, transport, SYMBOLS)
        events = empty_events(BATCH_EVENTS)
        batches = int(STEADY_S * BATCHES_PER_S * SYMBOLS)
        period, cpu, begin = 1 / (BATCHES_PER_S * SYMBOLS), time.process_time(), time.monotonic()
        for number in range(batches):
            time.sleep(max(0.0, begin + number * period - time.monotonic()))
            events["ts_event"] = time.time_ns()
            senders[number % SYMBOLS].send(events)
        sender_cpu = time.process_time() - cpu
        wait_for(senders)
        results = [report(pipe) for pipe in pipes]
    latencies = sum((result[0] for result in results), LatencyHistogram())
    return {
        "senders": SYMBOLS,
        "batches": batches,
        "received_batches": len(latencies),
        "holes": sum(result[2] for result in results),
        "p50_us": round(latencies.percentile(50) / 1e3, 1),
        "p99_us": round(latencies.percentile(99) / 1e3, 1),
        "max_us": round(latencies.percentile(100) / 1e3, 1),
        "sender_cpu_us_per_batch": round(sender_cpu / batches * 1e6, 1),
        "receiver_cpu_us_per_batch": round(sum(r[3] for r in results) / batches * 1e6, 1),
    }


def saturation(transport: Transport) -> dict[str, float | int]:
    """Send as fast as the receiver takes, waiting where batches begin to pile up."""
    with ExitStack() as stack:
        (sender,), (pipe,) = connect_all(stack, transport, 1)
        events = empty_events(BATCH_EVENTS)
        sends, begin = 0, time.monotonic()
        while time.monotonic() - begin < SATURATED_S:
            events["ts_event"] = time.time_ns()
            sender.send(events)
            sends += 1
            while sender.backlog_events > 100_000 and not sender.pump():
                time.sleep(0.0002)
        wait_for([sender])
        elapsed = time.monotonic() - begin
        _, received, holes, cpu = report(pipe)
    assert received == sends * BATCH_EVENTS, "events were lost"
    return {
        "events_per_s": round(received / elapsed),
        "batches_per_s": round(sends / elapsed),
        "mb_per_s": round(received * events.itemsize / elapsed / 1e6, 1),
        "messages": sender.counters.batches,
        "coalesced": sender.counters.coalesced,
        "holes": holes,
        "receiver_cpu_ns_per_event": round(cpu / received * 1e9, 1),
    }


def send_call_us(transport: Transport) -> float:
    """Return the median time of one `send` while the receiver keeps up, in us."""
    with ExitStack() as stack:
        (sender,), (pipe,) = connect_all(stack, transport, 1)
        events, times = empty_events(BATCH_EVENTS), []
        for _ in range(500):
            begin = time.perf_counter_ns()
            sender.send(events)
            times.append(time.perf_counter_ns() - begin)
            time.sleep(0.001)
        report(pipe)
    return round(float(np.median(times)) / 1e3, 1)


def wait_for(senders: list[EventSender]) -> None:
    """Wait until everything has left, and has been read."""
    while not all([sender.pump() for sender in senders]):
        time.sleep(0.001)
    time.sleep(0.5)


def main() -> None:
    """Measure both ways, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--transport", choices=["ipc", "tcp"], default="ipc")
    arguments = parser.parse_args()
    folder = make_run_directory()
    transport = (
        Transport.ipc(folder)
        if arguments.transport == "ipc"
        else Transport.tcp("127.0.0.1", StreamKeys.generate())
    )
    try:
        result: dict[str, Any] = {
            "benchmark": "streams",
            "transport": arguments.transport,
            "batch_events": BATCH_EVENTS,
            "cpus": os.cpu_count(),
            "send_us": send_call_us(transport),
            "steady": steady(transport),
            "saturation": saturation(transport),
        }
    finally:
        shutil.rmtree(folder)
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
