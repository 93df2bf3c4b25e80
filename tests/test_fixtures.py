"""The fixtures are what their program makes, and every correct serialiser gives back their bytes."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FILES = sorted(FIXTURES.glob("*/*.json"))


def relative(path: Path) -> str:
    return path.relative_to(FIXTURES).as_posix()


@pytest.fixture(scope="module")
def made_again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("fixtures")
    subprocess.run([sys.executable, FIXTURES / "make.py", directory], check=True)
    return directory


def test_the_files_are_those_the_contract_names() -> None:
    data = [f"data/{number:03}.json" for number in range(100)]
    assert [relative(path) for path in FILES] == [*data, "json/large.json", "json/medium.json", "json/small.json"]


def test_making_them_again_gives_the_same_bytes(made_again: Path) -> None:
    for path in [*FILES, FIXTURES / "SHA256SUMS"]:
        assert (made_again / relative(path)).read_bytes() == path.read_bytes(), relative(path)


def test_making_them_again_makes_nothing_else(made_again: Path) -> None:
    made = {path.relative_to(made_again).as_posix() for path in made_again.rglob("*") if path.is_file()}
    assert made == {"SHA256SUMS", *map(relative, FILES)}


def test_checksums_cover_every_file_and_match() -> None:
    lines = (FIXTURES / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    noted = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert noted == {relative(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES}


@pytest.mark.parametrize(
    ("names", "size"),
    [("data/*", 20_000), ("json/small", 1_000), ("json/medium", 100_000), ("json/large", 2_000_000)],
)
def test_sizes(names: str, size: int) -> None:
    sizes = [path.stat().st_size for path in FIXTURES.glob(f"{names}.json")]
    assert sizes
    assert all(0.9 * size <= found <= 1.1 * size for found in sizes), sizes


def test_standard_library_and_orjson_give_back_the_bytes() -> None:
    for path in FILES:
        content = path.read_bytes()
        value = json.loads(content)
        assert json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() == content, relative(path)
        assert orjson.dumps(orjson.loads(content)) == content, relative(path)


def decimals(content: bytes) -> list[str]:
    """Every number that is not whole in a document, as the file spells it."""
    found: list[str] = []

    def note(text: str) -> float:
        found.append(text)
        return float(text)

    json.loads(content, parse_float=note)
    return found


def test_decimals_have_two_to_four_places_and_no_exponent() -> None:
    for path in FILES:
        for text in decimals(path.read_bytes()):
            _, _, places = text.partition(".")
            assert places.isdigit(), text
            assert 2 <= len(places) <= 4, text
            assert not places.endswith("0"), text


def test_text_goes_beyond_ascii_and_needs_escapes() -> None:
    for path in FILES:
        content = path.read_bytes()
        assert not content.isascii(), relative(path)
        assert b"\\u" not in content, relative(path)
        assert not content.endswith(b"\n"), relative(path)
    assert b'\\"' in FILES[0].read_bytes()


def test_a_data_file_is_a_table_of_a_year() -> None:
    for path in FIXTURES.glob("data/*.json"):
        document = orjson.loads(path.read_bytes())
        assert list(document) == ["columns", "rows"]
        assert document["columns"] == ["date", "foo", "bar", "baz"]
        assert len(document["rows"]) == 366
        for row in document["rows"]:
            assert [type(cell) for cell in row] == [str, int, float, str]
