"""What keeps a server from starting: one line that names file, key and reason, exit 2, and nothing half-started."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tests.support.server import ROOT, Server


def refused(server: Server) -> str:
    """The one line of a server that does not start."""
    ended = server.run("serve", check=False)
    assert ended.returncode == 2, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("mailstack: ")]
    assert ended.stderr.splitlines() == lines, ended.stderr
    assert len(lines) == 1, lines
    return lines[0]


def put(server: Server, key: str, value: str) -> None:
    """Set a key of the first table that has it, or of [tls]."""
    text = server.configuration.read_text()
    lines = [line for line in text.splitlines() if not line.startswith(f"{key} =")]
    place = lines.index("[tls]") + 1 if key in ("mode", "certificate", "key") else 0
    lines.insert(place, f"{key} = {value}")
    server.configuration.write_text("\n".join(lines) + "\n")


def _missing_certificate(server: Server, folder: Path) -> str:
    put(server, "mode", '"files"')
    put(server, "certificate", f'"{folder}/none.pem"')
    put(server, "key", f'"{folder}/none.key"')
    return f"tls.certificate: {folder}/none.pem: can't be read: No such file"


def _pair(folder: Path) -> tuple[Path, Path]:
    one = trustme.CA().issue_cert("mail.a.test")
    one.private_key_pem.write_to_path(folder / "key.pem")
    one.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return folder / "cert.pem", folder / "key.pem"


def _use(server: Server, certificate: Path, key: Path) -> None:
    put(server, "mode", '"files"')
    put(server, "certificate", f'"{certificate}"')
    put(server, "key", f'"{key}"')


def _unreadable_key(server: Server, folder: Path) -> str:
    certificate, _ = _pair(folder)
    _use(server, certificate, folder)
    return f"tls.key: {folder}: can't be read"


def _key_of_another(server: Server, folder: Path) -> str:
    certificate, _ = _pair(folder)
    (folder / "other").mkdir()
    _, key = _pair(folder / "other")
    _use(server, certificate, key)
    return f"tls.certificate: {certificate}: does not belong to the key in {key}"


def _encrypted_key(server: Server, folder: Path) -> str:
    from cryptography.hazmat.primitives import serialization

    certificate, key = _pair(folder)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"sesame")
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    _use(server, certificate, key)
    return f"tls.key: {key}: can't be used"


def _not_a_key(server: Server, folder: Path) -> str:
    certificate, _ = _pair(folder)
    _use(server, certificate, certificate)
    return f"tls.key: {certificate}: no private key"


def _password_file(server: Server, folder: Path) -> str:
    with server.configuration.open("a") as file:
        file.write(f'[relay]\nsmarthost = "smtp://u@relay.test"\nsmarthost_password_file = "{folder}/none"\n')
    text = server.configuration.read_text().replace('[relay]\n\nretry = ["1s"]\n', "")
    server.configuration.write_text(text)
    return f"relay.smarthost_password_file: {folder}/none: can't be read"


def _data_dir_is_a_file(server: Server, folder: Path) -> str:
    (folder / "file").write_text("")
    put(server, "data_dir", f'"{folder}/file/data"')
    return f"data_dir: {folder}/file/data: Not a directory"


def _index_dir(server: Server, folder: Path) -> str:
    (folder / "file").write_text("")
    with server.configuration.open("a") as file:
        file.write(f'[store]\nindex_dir = "{folder}/file"\n')
    return f"store.index_dir: {folder}/file: File exists"


def _unknown_key(server: Server, folder: Path) -> str:
    put(server, "colour", '"red"')
    return "colour: there is no such setting"


MISTAKES = [
    _missing_certificate,
    _unreadable_key,
    _key_of_another,
    _encrypted_key,
    _not_a_key,
    _password_file,
    _data_dir_is_a_file,
    _unknown_key,
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[one.__name__.strip("_") for one in MISTAKES])
def test_a_mistake_is_named_and_nothing_is_made(tmp_path: Path, mistake: Callable[[Server, Path], str]) -> None:
    server = Server(tmp_path)
    (tmp_path / "files").mkdir()
    wanted = mistake(server, tmp_path / "files")
    assert refused(server).startswith(f"mailstack: {server.configuration}: {wanted}")
    assert not server.data.exists()


def test_a_folder_for_indexes_that_cant_be(tmp_path: Path) -> None:
    server = Server(tmp_path)
    wanted = _index_dir(server, tmp_path)
    assert refused(server) == f"mailstack: {server.configuration}: {wanted}"
    assert list(server.data.rglob("*.sqlite3")) == []


def test_a_port_in_use_leaves_no_other_open(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with socket.create_server(("127.0.0.1", server.ports["imaps"])):
        assert refused(server) == (
            f"mailstack: {server.configuration}: listen.imaps: 127.0.0.1:{server.ports['imaps']}: Address already in use"
        )
    assert not server.data.exists()
    for port in server.ports.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_second_server_on_the_same_data(tmp_path: Path) -> None:
    first = Server(tmp_path, users=("alice",))
    first.provision()
    first.start()
    try:
        (tmp_path / "second").mkdir()
        second = Server(tmp_path / "second", first.data)
        before = sorted(first.data.rglob("*"))
        assert refused(second) == f"mailstack: {second.configuration}: data_dir: another server runs on {first.data}"
        assert sorted(first.data.rglob("*")) == before
        assert first.run("health").returncode == 0
    finally:
        first.stop()


def test_data_of_a_newer_version(tmp_path: Path) -> None:
    server = Server(tmp_path, users=("alice",))
    server.provision()
    with sqlite3.connect(server.data / "mailstack.sqlite3") as connection:
        connection.execute("UPDATE alembic_version SET version_num='9999'")
    connection.close()
    assert "data_dir: " in (line := refused(server))
    assert "newer version of mailstack (revision 9999" in line
    # Commands say the same, and a command that was refused holds no lock.
    said = server.run("user", "list", check=False)
    assert (said.returncode, said.stdout) == (2, "")
    assert "newer version" in said.stderr


def test_a_database_that_is_none(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.data.mkdir()
    (server.data / "mailstack.sqlite3").write_text("not a database, but long enough to be looked at " * 50)
    assert f"data_dir: {server.data}/mailstack.sqlite3: file is not a database" in refused(server)


def others_can_run() -> str:
    """Empty, or why a test can't become another user."""
    if os.geteuid() != 0:
        return "only root can become another user"
    command = [sys.executable, "-c", "import mailstack.app"]
    try:
        subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, user=65534, group=65534, capture_output=True, check=True)
    except (PermissionError, subprocess.CalledProcessError):
        return "this interpreter or checkout is closed to other users"
    return ""


@pytest.fixture(scope="module")
def another_user() -> None:
    reason = others_can_run()
    if reason:
        pytest.skip(reason)


@pytest.mark.usefixtures("another_user")
def test_data_of_somebody_else(world_folder: Path) -> None:
    server = Server(world_folder)
    server.data.mkdir(mode=0o755)
    ended = subprocess.run(
        [*server.command, "serve"], env=server.environment, capture_output=True, text=True, user=65534, group=65534, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr == f"mailstack: {server.configuration}: data_dir: {server.data}/lock: Permission denied\n"
    assert list(server.data.iterdir()) == []


@pytest.mark.usefixtures("another_user")
def test_root_becomes_the_owner_of_the_data(world_folder: Path) -> None:
    server = Server(world_folder, users=("alice",))
    server.data.mkdir(mode=0o700)
    os.chown(server.data, 65534, 65534)
    server.provision()
    server.start()
    try:
        server.run("user", "add", "bob@a.test", "--password-stdin", stdin="sesame\n")
        assert server.run("health").returncode == 0
        assert server.process is not None
        assert os.stat(f"/proc/{server.process.pid}").st_uid == 65534
    finally:
        server.stop()
    server.run("alias", "add", "info@a.test", "bob@a.test")
    server.run("repair")
    owners = {path: path.lstat().st_uid for path in server.data.rglob("*")}
    assert owners
    assert set(owners.values()) == {65534}, [path for path, owner in owners.items() if owner != 65534]
