import pickle
import stat
from pathlib import Path

import pytest

from alphaplus.errors import ConfigError
from alphaplus.streams import (
    Endpoint,
    EventReceiver,
    EventSender,
    StreamKeys,
    Transport,
    make_run_directory,
)


def test_plain_data_travels_by_pickle(ipc, tcp):
    for value in (Endpoint("tcp://127.0.0.1:5", "k" * 40), ipc, tcp):
        assert pickle.loads(pickle.dumps(value)) == value


def test_secret_key_is_in_no_repr(tcp):
    assert tcp.keys.secret not in repr(tcp)
    assert tcp.keys.public in repr(tcp)


def test_every_fleet_has_its_own_keys():
    assert StreamKeys.generate() != StreamKeys.generate()


def test_run_directory_is_private():
    folder = make_run_directory()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()


def test_folder_open_to_others_is_refused(tmp_path):
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigError, match=r"private \(mode 0700\), was 0755"):
        EventReceiver(Transport.ipc(tmp_path))


def test_too_long_a_path_is_refused(tmp_path):
    folder = tmp_path / ("x" * 120)
    folder.mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="at most 100 bytes"):
        Transport.ipc(folder).new_address()


def test_two_receivers_of_a_run_do_not_share_an_address(ipc):
    assert ipc.new_address() != ipc.new_address()


@pytest.mark.parametrize("host", ["0.0.0.0", "node-1", "", "*"])
def test_host_that_peers_cannot_connect_to_is_refused(host):
    with pytest.raises(ConfigError, match=r"streams.host"):
        Transport.tcp(host, StreamKeys.generate())


def test_tcp_without_keys_is_refused():
    with pytest.raises(ConfigError, match="always encrypted"):
        Endpoint("tcp://127.0.0.1:5")
    with pytest.raises(ConfigError, match="fleet's keys"):
        EventReceiver(Transport(host="127.0.0.1"))
    with pytest.raises(ConfigError, match="fleet's keys"):
        EventSender(Endpoint("tcp://127.0.0.1:5", "k" * 40), name="a", exchange="b")


def test_other_transports_are_refused():
    with pytest.raises(ConfigError, match="ipc:// or tcp://"):
        Endpoint("udp://1.2.3.4:5")


def test_closed_receiver_leaves_no_file(ipc):
    with EventReceiver(ipc) as receiver:
        path = Path(receiver.endpoint.address.removeprefix("ipc://"))
        assert path.is_socket()
    assert not path.exists()
