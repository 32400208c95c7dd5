"""Every dialog file against a running appliance."""

import base64
import re
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from tests.conftest import unused
from tests.support.dialog import Dialog
from tests.support.server import PASSWORD, Server

DIALOGS = Path(__file__).parents[1] / "dialogs"


@pytest.mark.parametrize("path", sorted(DIALOGS.glob("**/*.txt")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_dialog(server: Server, account: str, path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    door = path.relative_to(DIALOGS).parts[0]
    settings = re.findall(r"^# Settings: (.+)$", text, re.MULTILINE)
    if settings:
        # A server of its own.
        own = Server(tmp_path, settings="\n".join(settings))
        plain = base64.b64encode(f"\0alice@a.test\0{PASSWORD}".encode()).decode()
        own.provision()
        own.start()
        try:
            Dialog(path, own.ports[door], {"account": "alice@a.test", "password": PASSWORD, "plain": plain}).run()
        finally:
            own.stop()
        return
    address = f"{account}@{server.domain}"
    if asked := re.search(r"^# Asks: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        server.run("user", "capability", address, "--show", asked[1])

    def packed(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    claims = {"iss": "https://id.a.test", "aud": "mail", "exp": time.time() + 600, "email": address}
    token = server.signing_key.token(claims)  # type: ignore[attr-defined]
    values = {
        "account": address,
        "quoted": quote(address, safe=""),
        "password": PASSWORD,
        "plain": packed(f"\0{address}\0{PASSWORD}"),
        "plain_as": packed(f"{address}\0{address}\0{PASSWORD}"),
        "user64": packed(address),
        "password64": packed(PASSWORD),
        "oauthbearer": packed(f"n,a={address},\1host=x\1auth=Bearer {token}\1\1"),
        "xoauth2": packed(f"user={address}\1auth=Bearer {token}\1\1"),
    }
    for kind, scope in (("reading", "read"), ("sending", "send")):
        if f"{{{kind}" in text:
            made = server.run("user", "app-password", "add", address, kind, "--scope", scope).stdout.strip()
            values |= {kind: made, f"{kind}64": packed(f"\0{address}\0{made}")}
    if "{certificate}" in text:
        both = tmp_path / "both.pem"
        trustme.CA().issue_cert("laptop.a.test").private_key_and_cert_chain_pem.write_to_path(both)
        server.run("user", "certificate", "add", address, "laptop", str(both))
        values |= {"certificate": str(both), "account64": packed(address)}
    if "{friend}" in path.read_text(encoding="utf-8"):
        values["friend"] = f"{unused(server)}@{server.domain}"
    Dialog(path, server.ports[door], values, ports=server.ports).run()
