"""A receiver to be killed: `python -m tests.streams.peer events|rows ADDRESS [FILE]`."""

import json
import os
import sys
from pathlib import Path

from alphaplus.streams import EventReceiver, RowReceiver, Transport


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def receive_events(transport: Transport, address: str) -> None:
    with EventReceiver(transport, address=address) as receiver:
        say("ready")
        while True:
            for batch in receiver.recv():
                say([batch.first, batch.last, batch.hole])


def receive_rows(transport: Transport, address: str, spool: Path) -> None:
    """Write number after number to the spool, and acknowledge what was written."""
    known = [tuple(map(int, line.split())) for line in spool.read_text().splitlines()]
    with RowReceiver(transport, address=address, durable=known) as receiver, spool.open("a") as out:
        say("ready")
        while True:
            for batch in receiver.recv():
                out.write(f"{batch.sender.epoch} {batch.number}\n")
                out.flush()
                os.fsync(out.fileno())
                receiver.ack(batch)


def main(kind: str, address: str, *spool: str) -> None:
    transport = Transport.ipc(Path(address.removeprefix("ipc://")).parent)
    if kind == "events":
        receive_events(transport, address)
    else:
        receive_rows(transport, address, Path(spool[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
