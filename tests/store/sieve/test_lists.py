"""External lists of Sieve: files of values."""

from pathlib import Path

from mailstack.store.sieve.lists import first_on, read_list


def test_a_list_is_a_file_of_lines(tmp_path: Path) -> None:
    (tmp_path / "my friends.list").write_text("# remark\n\na@x.test\r\n  B@y.test \n@z.test\n")
    assert read_list(tmp_path, "my friends") == ("a@x.test", "B@y.test", "@z.test")
    assert read_list(tmp_path, "others") is None
    assert read_list(tmp_path, "../my friends") is None
    assert read_list(tmp_path / "nowhere", "x") is None


def test_who_is_on_it() -> None:
    members = ("a@x.test", "B@y.test", "@z.test", "word")
    assert first_on(("c@x.test", "b@Y.test", "a@x.test"), members) == "b@Y.test"
    assert first_on(("anybody@Z.test",), members) == "anybody@Z.test"
    assert first_on(("Word",), members) == "Word"
    assert first_on(("z.test", "@x.test", ""), members) is None
    assert first_on(("a@x.test",), ()) is None
