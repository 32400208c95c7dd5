"""Forms to one script that a person can read; above each piece stands the form that it was made of, in a comment.

Rule: `reading.read()` gives back what was written, and nothing once a hand has changed the script.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator

import msgspec

from mailstack.sieve.forms.model import MARKS, Action, Condition, Does, Forms, Forwarding, How, Rule, Vacation, What

TITLE = "# Made by the rules page. Once changed by hand it stays as it is, and the page shows it as text."
SEAL = "#= 1 "  # version of the comments, then a digest of all that follows
FORM = "#: "
_JUNK = 'spamtest :percent :value "ge" :comparator "i;ascii-numeric" "50"'
_FIELDS = {What.FROM: '"from"', What.TO: '["to", "cc"]', What.SUBJECT: '"subject"', What.LIST_ID: '"list-id"'}
_ADDRESSES = frozenset({What.FROM, What.TO})
_ATTACHED = (
    'header :mime :anychild :type :is "content-disposition" "attachment"',
    'header :mime :anychild :param "filename" :matches "content-disposition" "?*"',
)


def write(forms: Forms) -> str:
    """The script. Forms that `checking.problems()` finds fault with may give none that compiles."""
    needs: set[str] = set()
    pieces = list(_pieces(forms, needs))
    require = ", ".join(quoted(name) for name in sorted(needs))
    body = "\n".join([*([f"require [{require}];"] if require else []), "", "\n\n".join(pieces), ""])
    return f"{TITLE}\n{SEAL}{seal(body)}\n{body}"


def seal(body: str) -> str:
    """By which a change by hand is seen; line ends count as one."""
    return hashlib.sha256(body.replace("\r\n", "\n").strip().encode("utf-8", "surrogatepass")).hexdigest()[:32]


def quoted(text: str) -> str:
    """RFC 5228 2.4.2; no line of it looks like a comment of ours."""
    plain = text.replace("\r\n", "\n").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + plain.replace("\n#", "\n\\#") + '"'


def strings(texts: Iterable[str]) -> str:
    """One string, or a list of them."""
    made = [quoted(text) for text in texts]
    return made[0] if len(made) == 1 else "[" + ", ".join(made) + "]"


def _form(name: str, value: object) -> str:
    return f"{FORM}{name} {msgspec.json.encode(_short(value)).decode()}"


def _short(value: object) -> object:
    """Without what is so unless it is said."""
    if isinstance(value, tuple):
        return [_short(one) for one in value]
    if not dataclasses.is_dataclass(value):
        return value
    pairs = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return {field.name: _short(one) for field, one in pairs if one != field.default}


def _pieces(forms: Forms, needs: set[str]) -> Iterator[str]:
    guard = [f"not {_JUNK}"] if forms.asks_spam else []
    if forms.asks_spam:
        needs |= {"spamtestplus", "relational", "comparator-i;ascii-numeric"}
    if forms.vacation != Vacation():
        yield "\n".join([_form("vacation", forms.vacation), *_vacation(forms.vacation, guard, needs)])
    if forms.forwarding != Forwarding():
        yield "\n".join([_form("forwarding", forms.forwarding), *_forwarding(forms.forwarding, guard, needs)])
    for rule in forms.rules:
        own = [] if any(one.what is What.SPAM for one in rule.conditions) else guard
        yield "\n".join([_form("rule", rule), *(_rule(rule, own, needs) if rule.enabled else ())])
    if forms.then:
        needs.add("include")
        yield f"{_form('then', forms.then)}\ninclude :personal :optional {quoted(forms.then)};"


def _block(tests: list[str], lines: Iterable[str]) -> list[str]:
    if not tests:
        return list(lines)
    return [f"if {_joined('allof', tests)} {{", *(f"    {line}" for line in lines), "}"]


def _joined(word: str, tests: list[str]) -> str:
    if len(tests) == 1:
        return tests[0]
    return f"{word} (\n    " + ",\n".join(tests).replace("\n", "\n    ") + "\n)"


def _vacation(form: Vacation, guard: list[str], needs: set[str]) -> list[str]:
    if not form.on:
        return []
    needs.add("vacation")
    tests = list(guard)
    for relation, day in (("ge", form.first), ("le", form.last)):
        if day is not None:
            needs |= {"date", "relational"}
            tests.append(f'currentdate :value "{relation}" "date" "{day.isoformat()}"')
    words = [f"vacation :days {form.days}"]
    if form.subject:
        words.append(f":subject {quoted(form.subject)}")
    if form.addresses:
        words.append(f":addresses {strings(form.addresses)}")
    return _block(tests, [" ".join([*words, quoted(form.text)]) + ";"])


def _forwarding(form: Forwarding, guard: list[str], needs: set[str]) -> list[str]:
    if not form.addresses:
        return []
    if form.keep:
        needs.add("copy")
    copy = ":copy " if form.keep else ""
    return _block(guard, [f"redirect {copy}{quoted(address)};" for address in form.addresses])


def _rule(rule: Rule, guard: list[str], needs: set[str]) -> list[str]:
    tests = [_test(one, needs) for one in rule.conditions]
    if len(tests) > 1 and not rule.every:
        tests = [_joined("anyof", tests)]
    # Marks are on what is done after them (RFC 5232 3): whoever names them last in a rule means the same.
    actions = sorted(rule.actions, key=lambda one: one.does not in MARKS)
    return _block([*guard, *tests] or ["true"], [_DONE[one.does](one, needs) for one in actions])


# Conditions ---------------------------------------------------------------------------------------------------------


def _test(one: Condition, needs: set[str]) -> str:
    test = _positive(one, needs)
    return f"not {test}" if one.negated else test


def _positive(one: Condition, needs: set[str]) -> str:
    if one.what is What.SPAM:
        return _JUNK
    if one.what is What.ATTACHMENT:
        needs.add("mime")
        return f"anyof ({', '.join(_ATTACHED)})"
    if one.what is What.SIZE:
        return f"size :{one.how.value} {one.value}"
    fields = quoted(one.header) if one.what is What.HEADER else _FIELDS[one.what]
    # What people search for in From and To is part of a name as often as of an address.
    looks = "address" if one.what in _ADDRESSES and one.how is not How.CONTAINS else "header"
    return f"{looks} {_comparison(one)} {fields} {quoted(_pattern(one))}"


def _comparison(one: Condition) -> str:
    if one.what is What.LIST_ID and one.how is How.IS:
        return ":matches"
    return {How.CONTAINS: ":contains", How.IS: ":is"}.get(one.how, ":matches")


def _pattern(one: Condition) -> str:
    if one.what is What.LIST_ID and one.how is How.IS:
        # RFC 2919 3: words may stand before the id.
        return f"*<{escaped(one.value.strip('<>'))}>*"
    if one.how is How.STARTS:
        return escaped(one.value) + "*"
    if one.how is How.ENDS:
        return "*" + escaped(one.value)
    return one.value


def escaped(text: str) -> str:
    """What :matches takes as it stands (RFC 5228 2.7.1)."""
    return "".join("\\" + one if one in "*?\\" else one for one in text)


# Actions ------------------------------------------------------------------------------------------------------------


def _move(one: Action, needs: set[str]) -> str:
    needs |= {"fileinto", "mailbox"}
    return f"fileinto :create {quoted(one.target)};"


def _copy(one: Action, needs: set[str]) -> str:
    needs |= {"fileinto", "mailbox", "copy"}
    return f"fileinto :copy :create {quoted(one.target)};"


def _forward(one: Action, needs: set[str]) -> str:
    needs.add("copy")
    return f"redirect :copy {quoted(one.target)};"


def _flag(one: Action, needs: set[str]) -> str:
    needs.add("imap4flags")
    return "addflag " + quoted("\\Flagged" if one.does is Does.FLAG else "\\Seen") + ";"


def _word(one: Action, _: set[str]) -> str:
    return f"{one.does.value};"


_DONE: dict[Does, Callable[[Action, set[str]], str]] = {
    Does.MOVE: _move,
    Does.COPY: _copy,
    Does.FLAG: _flag,
    Does.READ: _flag,
    Does.FORWARD: _forward,
    Does.KEEP: _word,
    Does.DISCARD: _word,
    Does.STOP: _word,
}
