"""One account, and all that an admin may do with it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from mailstack.control.sending import LIMITS
from mailstack.message.address import parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.web.console.visit import Handler, Refused, Visit


class AccountPage:
    """The account is in the query, so that every form of the page is about the one that is shown."""

    def actions(self) -> Mapping[str, Handler]:
        return {
            "password": self._password,
            "quota": self._quota,
            "disable": self._disable,
            "enable": self._enable,
            "admin": self._admin,
            "no-admin": self._no_admin,
            "limits": self._limits,
            "stop": self._stop,
            "release": self._release,
            "revoke": self._revoke,
            "rename": self._rename,
            "grant": self._grant,
            "ungrant": self._ungrant,
            "totp-off": self._totp_off,
            "log-out": self._log_out,
            "remove": self._remove,
        }

    async def show(self, visit: Visit) -> Response:
        address = visit.argument("address")
        found = await visit.run("user.show", address=address)
        listed: dict[str, Any] = next((row for row in await visit.run("user.list") if row["address"] == found["address"]), {})
        values: dict[str, Any] = {
            "account": {**listed, **found},
            "devices": await visit.run("user.app-password.list", address=address),
            "sessions": await visit.run("user.session.list", address=address),
            "totp": await visit.run("user.totp.show", address=address),
            "usage": await visit.run("user.usage", address=address),
            "logins": await visit.run("user.logins", address=address),
            "limits": list(LIMITS),
            "learned": (await visit.run("spam.stats", address=address))[0],
            "senders": [row["sender"] for row in await visit.run("user.send-as.list", address=address)],
            "aliases": sorted({row["source"] for row in await visit.run("alias.list") if row["target"] == found["address"]}),
        }
        return visit.page("admin/account.html", **values)

    async def _password(self, visit: Visit) -> Response:
        if self._own(visit):
            raise Refused("Your own password is changed under Password & logins, where the old one is asked for.")
        address, password = visit.argument("address"), visit.form.exactly("password") or None
        changed = await visit.run("user.passwd", address=address, password=password)
        if changed["password"] is None:
            answer = visit.back("The password is changed; who was logged in with the old one is out.")
        else:
            answer = visit.page("admin/password.html", address=address, password=changed["password"], done="changed")
        return answer

    async def _quota(self, visit: Visit) -> Response:
        await visit.run("user.quota", address=visit.argument("address"), quota=visit.form["quota"] or "none")
        return visit.back("The quota is set.")

    async def _disable(self, visit: Visit) -> Response:
        self._spare_own(visit)
        await visit.run("user.disable", address=visit.argument("address"))
        return visit.back("The account is disabled: no login, no mail.")

    async def _enable(self, visit: Visit) -> Response:
        await visit.run("user.enable", address=visit.argument("address"))
        return visit.back("The account is enabled.")

    async def _admin(self, visit: Visit) -> Response:
        await visit.run("user.admin", address=visit.argument("address"), off=False)
        return visit.back("The account is an admin now.")

    async def _no_admin(self, visit: Visit) -> Response:
        self._spare_own(visit)
        await visit.run("user.admin", address=visit.argument("address"), off=True)
        return visit.back("The account is no admin any more.")

    async def _limits(self, visit: Visit) -> Response:
        await visit.run("user.limit", address=visit.argument("address"), **{name: visit.form[name] for name in LIMITS})
        return visit.back("The limits are set.")

    async def _stop(self, visit: Visit) -> Response:
        done = await visit.run("user.stop", address=visit.argument("address"), reason=visit.form["reason"] or None)
        return visit.back(f"The account may send nothing now; {done['held']} messages are held.")

    async def _release(self, visit: Visit) -> Response:
        done = await visit.run("user.release", address=visit.argument("address"), drop=bool(visit.form["drop"]))
        became = "dropped" if done["dropped"] else "let go"
        return visit.back(f"The account may send again; {done['released']} messages were {became}.")

    async def _rename(self, visit: Visit) -> Response:
        self._spare_own(visit)
        old = visit.argument("address")
        new = (await visit.run("user.rename", address=old, to=visit.form["to"], keep=bool(visit.form["keep"])))["address"]
        return visit.back(f"{old} is {new} now, and logs in by it.", f"/admin/accounts/of?{urlencode({'address': new})}")

    async def _grant(self, visit: Visit) -> Response:
        await visit.run("user.send-as.add", address=visit.argument("address"), sender=visit.form["sender"])
        return visit.back(f"It may send as {visit.form['sender']}.")

    async def _ungrant(self, visit: Visit) -> Response:
        await visit.run("user.send-as.remove", address=visit.argument("address"), sender=visit.form["sender"])
        return visit.back(f"It may no longer send as {visit.form['sender']}.")

    async def _revoke(self, visit: Visit) -> Response:
        await visit.run("user.app-password.remove", address=visit.argument("address"), label=visit.form.exactly("label"))
        return visit.back(f"{visit.form['label']} can't log in any more.")

    async def _totp_off(self, visit: Visit) -> Response:
        await visit.run("user.totp.off", address=visit.argument("address"))
        return visit.back("The password alone is enough again.")

    async def _log_out(self, visit: Visit) -> Response:
        keep = visit.session.digest if self._own(visit) else None
        done = await visit.run("user.session.end", address=visit.argument("address"), but=keep)
        return visit.back(f"{done['ended']} logged out.")

    async def _remove(self, visit: Visit) -> Response:
        self._spare_own(visit)
        address = visit.argument("address")
        if visit.form["typed"].casefold() != address.casefold():
            raise Refused(f"Type {address} to remove it.")
        removed = await visit.run("user.remove", address=address)
        return visit.back(f"{address} removed. Its mail is still in {removed['folder']}", "/admin/accounts")

    def _own(self, visit: Visit) -> bool:
        try:
            return parse_address(visit.argument("address")).key == visit.account.address
        except SyntaxProblem:
            return False

    def _spare_own(self, visit: Visit) -> None:
        if self._own(visit):
            raise Refused("That would lock you out; another admin can do it, or the command on the server.")
