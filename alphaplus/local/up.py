"""`alphaplus up`: Ray, the stream job (with database and venue) and the API, until Ctrl-C.

Order of the start: check everything that can be checked, Ray, then the job and the API side
by side. Order of the stop: the job drains, the API ends, Ray ends. Whatever goes wrong on
the way up takes the same way down.
"""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from alphaplus.analysis.registry import check_names
from alphaplus.config import Settings, settings_environment
from alphaplus.errors import AlphaPlusError, ConfigError
from alphaplus.kernels import ensure_compiled
from alphaplus.local.demands import processors_to_tell
from alphaplus.local.ports import require_free
from alphaplus.local.ray_head import OVER, RayHead, ray_environment
from alphaplus.local.table import LiveView
from alphaplus.processors import processors

JOB: Final = "stream-main"
JOBS: Final = 10
"""So many jobs may be killed before we give up."""
FIRST_JOBS: Final = 3
"""So many, if the books have never been fresh: what kills it may be its start."""
API_STOP_TIMEOUT_S: Final = 15.0
TELL_DRAIN_S: Final = 5.0
DRAINING: Final = "draining: "
"""How the job begins to say how far its drain is."""


def repository_root() -> Path:
    """Return the folder that holds jobs/, actors/ and serve/ beside the library."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "jobs" / "stream.py").is_file():
        raise ConfigError(
            f"Expected jobs/, actors/ and serve/ beside the library in {root}; "
            "run from a checkout of the repository."
        )
    return root


def up(settings: Settings, *, duration_s: float | None) -> dict[str, Any]:
    """Run everything until Ctrl-C, SIGTERM or `duration_s` after the first fresh answer.

    Returns the job's summary with the CPU seconds and memory of everything that ran. Raises
    ConfigError for what the user can mend, AlphaPlusError for what went wrong.
    """
    root = repository_root()
    require_free(settings.serve.host, settings.serve.port, "serve.port")
    check_names(settings.analysis.measures)  # before anything is started, and in one sentence
    with tempfile.TemporaryDirectory(prefix="alphaplus-", dir=_short_temp()) as name:
        folder = Path(name)
        head = RayHead(
            folder,
            {
                **ray_environment(),
                **settings_environment(settings),
                "RAY_JOB_STOP_WAIT_TIME_S": str(int(settings.fleet.longest_drain_s) + 15),
            },
            cpus=processors_to_tell(settings, processors()),
        )
        return _Run(settings, head, root, folder).go(duration_s)


class _Run:
    """One life of the local system."""

    def __init__(self, settings: Settings, head: RayHead, root: Path, folder: Path) -> None:
        self._settings = settings
        self._head = head
        self._root = root
        self._folder = folder
        self._api: subprocess.Popen[bytes] | None = None
        self._url = f"http://{settings.serve.host}:{settings.serve.port}"
        self._asked_to_stop = False
        self._usage: dict[str, float] = {}
        self._job = JOB
        self._jobs = 0

    def go(self, duration_s: float | None) -> dict[str, Any]:
        with self._signals():
            try:
                ensure_compiled(self._say)
                self._say("starting Ray")
                self._head.start()
                self._say("starting the database, the venue, the fleet and the API")
                self._start_api()
                self._submit_job()
                self._watch(duration_s)
                return self._drain()
            finally:
                self._stop_all()

    def _watch(self, duration_s: float | None) -> None:
        deadline: float | None = None
        start_by = time.monotonic() + self._settings.fleet.start_timeout_s
        with LiveView() as view:
            while not self._asked_to_stop:
                most = FIRST_JOBS if deadline is None else JOBS
                if self._head.job_state(self._job) in OVER and not self._replace_job(most):
                    return
                if self._api is not None and self._api.poll() is not None:
                    raise AlphaPlusError(f"The API ended by itself: {self._last_words('api.log')}")
                symbols = self._symbols()
                if symbols:
                    view.show(symbols)
                if deadline is None and _are_fresh(symbols):
                    deadline = time.monotonic() + duration_s if duration_s else float("inf")
                    self._announce(len(symbols))
                if deadline is None and time.monotonic() > start_by:
                    raise AlphaPlusError(
                        "The books did not become fresh in time; "
                        "try alphaplus doctor, or raise fleet.start_timeout_s."
                    )
                if deadline is not None and time.monotonic() >= deadline:
                    return
                time.sleep(0.5)

    def _submit_job(self) -> None:
        self._jobs += 1
        self._job = JOB if self._jobs == 1 else f"{JOB}-{self._jobs}"
        self._head.submit(self._job, self._root, [sys.executable, "-m", "jobs.stream", "--json"])

    def _replace_job(self, most: int) -> bool:
        """Submit the job again if it was killed and there were fewer than `most`; False if it
        has ended with a last word."""
        if _last_object(self._head.job_log(self._job)) is not None or self._jobs >= most:
            return False
        self._say(f"the job was killed; submitting it again ({self._jobs} so far)")
        time.sleep(min(2.0 ** (self._jobs - 1), 30.0))
        self._submit_job()
        return True

    def _drain(self) -> dict[str, Any]:
        self._usage = self._measure()
        if self._head.job_state(self._job) not in OVER:
            self._say("draining")
            self._head.stop_job(self._job)
        give_up = time.monotonic() + self._settings.fleet.longest_drain_s + 30
        tell, told = time.monotonic() + TELL_DRAIN_S, ""
        while self._head.job_state(self._job) not in OVER and time.monotonic() < give_up:
            if time.monotonic() > tell:
                tell += TELL_DRAIN_S
                said = last_drain_line(self._head.job_log(self._job))
                if said and said != told:
                    self._say(told := said)
            time.sleep(0.2)
        summary = _result(self._head.job_log(self._job))
        return {**summary, **self._usage, "jobs_lost": self._jobs - 1}

    def _start_api(self) -> None:
        with (self._folder / "api.log").open("wb") as log:
            self._api = subprocess.Popen(
                [sys.executable, "-m", "jobs.serve_api"],
                cwd=self._root,
                env=self._head.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _stop_all(self) -> None:
        if self._head.is_running:
            self._say("stopping")
        if self._api is not None and self._api.poll() is None:
            self._api.terminate()
            try:
                self._api.wait(API_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._api.kill()
                self._api.wait()
        self._head.stop()

    def _symbols(self) -> list[dict[str, Any]]:
        """Return the API's symbols; none while it is not there yet."""
        try:
            with urllib.request.urlopen(f"{self._url}/v1/symbols", timeout=5) as answer:
                found: list[dict[str, Any]] = json.load(answer)["symbols"]
        except (OSError, urllib.error.HTTPError, json.JSONDecodeError):
            return []
        return found

    def _measure(self) -> dict[str, float]:
        """Return CPU seconds and proportional memory of everything below this process."""
        cpu_s = memory = 0.0
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                cpu_s += times.user + times.system
                memory += process.memory_full_info().pss
        return {"cpu_s": round(cpu_s, 1), "rss_mb": round(memory / 1e6, 1)}

    def _announce(self, count: int) -> None:
        self._say(f"{count} symbols on {self._url}  (API documentation: {self._url}/docs)")
        self._say(f"Ray jobs: {self._head.dashboard} with RAY_AUTH_TOKEN from the environment")
        self._say("Ctrl-C drains and stops everything")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(*_: object) -> None:
            if self._asked_to_stop:
                raise KeyboardInterrupt  # asked twice: do not wait for the drain
            self._asked_to_stop = True

        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _last_words(self, log: str) -> str:
        lines = (self._folder / log).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _are_fresh(symbols: Sequence[Mapping[str, Any]]) -> bool:
    return bool(symbols) and not any(item["stale"] for item in symbols)


def _result(log: str) -> dict[str, Any]:
    """Return the summary that the job has ended with; raises the error that it has instead."""
    found = _last_object(log)
    if found is None:
        tail = "\n".join(log.strip().splitlines()[-15:])
        raise AlphaPlusError(f"The job ended without a summary. It said last:\n{tail}")
    if "error" in found:
        kind = ConfigError if found.get("exit_code") == 2 else AlphaPlusError
        raise kind(found["error"])
    summary: dict[str, Any] = found["summary"]
    return summary


def last_drain_line(log: str) -> str:
    """Return what the job said last of how far its drain is, empty if nothing."""
    said = [line.partition(DRAINING)[2] for line in log.splitlines() if DRAINING in line]
    return f"{DRAINING}{said[-1]}" if said else ""


def _last_object(log: str) -> dict[str, Any] | None:
    """Find the job's last word, one JSON object with `summary` or `error`, in its log."""
    for line in reversed(log.splitlines()):
        if not line.startswith("{"):
            continue
        try:
            found: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "error" in found or "summary" in found:
            return found
    return None


def _short_temp() -> str:
    """Return a folder for temporary files whose path is short enough for Unix sockets."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 20 else "/tmp"
