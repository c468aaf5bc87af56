"""Reading files: every row with its line, broken rows aside, memory by blocks."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prebill.connectors.files.reader import Block, read_blocks, row_json, rows_of_json
from prebill.core.errors import InputError

COLUMNS = ["a", "b", "c"]


def blocks(path: Path, content: bytes | str, block_bytes: int = 10**6) -> list[Block]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_blocks(path, COLUMNS, block_bytes=block_bytes))


def rows(found: list[Block]) -> list[tuple[int, tuple[Any, ...]]]:
    return [
        pair
        for block in found
        for pair in zip(block.lines.to_list(), block.frame.rows(), strict=True)
    ]


def aside(found: list[Block]) -> list[tuple[int, str]]:
    return [pair for block in found for pair in block.unreadable.select("line", "rule").rows()]


@pytest.mark.parametrize("block_bytes", [8, 64, 10**6])
def test_csv_rows_keep_their_lines_at_any_block_size(tmp_path: Path, block_bytes: int) -> None:
    content = 'a,b,c\r\n1,"x\r\ny",3\r\n4,,\r\n\r\n"say ""hi""",5,6\r\n'
    found = blocks(tmp_path / "x.csv", content, block_bytes)
    expected = [(2, ("1", "x\r\ny", "3")), (4, ("4", None, None)), (6, ('say "hi"', "5", "6"))]
    assert rows(found) == expected
    assert aside(found) == []


def test_byte_order_mark_and_spaces_in_the_header_do_no_harm(tmp_path: Path) -> None:
    found = blocks(tmp_path / "x.csv", b"\xef\xbb\xbfa, b,c\n1,2,3")
    assert found[0].frame.columns == COLUMNS


def test_bad_utf8_sets_only_its_rows_aside(tmp_path: Path) -> None:
    found = blocks(tmp_path / "x.csv", b"a,b,c\n1,ok,3\n2,\xff\xfe,3\n3,ok,4\n")
    assert [line for line, _ in rows(found)] == [2, 4]
    assert aside(found) == [(3, "is_utf8")]
    assert '"a":"2"' in found[0].unreadable["row_json"][0]


def test_row_with_too_many_fields_is_set_aside(tmp_path: Path) -> None:
    found = blocks(tmp_path / "x.csv", "a,b,c\n1,2,3,4,5\n1,2,3\n")
    assert rows(found) == [(3, ("1", "2", "3"))]
    assert aside(found) == [(2, "is_complete")]


def test_broken_quotes_set_their_lines_aside(tmp_path: Path) -> None:
    found = blocks(tmp_path / "x.csv", 'a,b,c\n1,"x"y,3\n4,"p, q",6\n\n7,8,9\n')
    assert rows(found) == [(3, ("4", "p, q", "6")), (5, ("7", "8", "9"))]
    assert aside(found) == [(2, "is_csv")]


def test_quote_that_is_never_closed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="never closed"):
        blocks(tmp_path / "x.csv", 'a,b,c\n1,"2,3\n4,5,6\n')


def test_ndjson_numbers_keep_every_digit(tmp_path: Path) -> None:
    content = '{"a": 12345678901234567890.123456789012, "b": "x\\":1,", "c": true}\n\n{"a": 0.1}'
    found = blocks(tmp_path / "x.ndjson", content)
    expected = [
        (1, ("12345678901234567890.123456789012", 'x":1,', "true")),
        (3, ("0.1", None, None)),
    ]
    assert rows(found) == expected


@pytest.mark.parametrize("line", ["{broken", "5", "[1]", "null", '"text"', '{"a": 1'])
def test_line_that_is_no_object_is_set_aside(tmp_path: Path, line: str) -> None:
    found = blocks(tmp_path / "x.ndjson", f'{{"a": 1, "b": 2, "c": 3}}\n{line}\n')
    assert rows(found) == [(1, ("1", "2", "3"))]
    assert aside(found) == [(2, "is_json")]


def test_ndjson_with_bad_utf8_sets_the_line_aside(tmp_path: Path) -> None:
    found = blocks(tmp_path / "x.ndjson", b'{"a": "\xff"}\n{"a": "1", "b": "", "c": ""}\n')
    assert aside(found) == [(1, "is_utf8")]


def test_ndjson_without_a_column_does_not_invent_it(tmp_path: Path) -> None:
    assert blocks(tmp_path / "x.ndjson", '{"a": 1}\n')[0].frame.columns == ["a"]


def test_parquet_keeps_types_and_counts_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": [1, 2], "b": [datetime(2026, 1, 1, tzinfo=UTC)] * 2}).write_parquet(path)
    (block,) = read_blocks(path, COLUMNS)
    assert block.frame.schema["a"] == pl.Int64
    assert block.lines.to_list() == [1, 2]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", b"", "is empty"),
        ("x.ndjson", b"", "is empty"),
        ("x.csv", b"a,a\n1,2\n", "repeated column"),
        ("x.csv", b"a,,b\n1,2,3\n", "empty column"),
        ("x.csv", b"\xff\xfe\n1\n", "header is not UTF-8"),
        ("x.parquet", b"no parquet at all", "is not a parquet file"),
        ("x.xlsx", b"PK", "unknown format"),
    ],
)
def test_file_that_can_not_be_read_says_why(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        blocks(tmp_path / name, content)


def test_absent_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        list(read_blocks(tmp_path / "x.csv", COLUMNS))


def test_header_alone_gives_one_empty_block(tmp_path: Path) -> None:
    (block,) = blocks(tmp_path / "x.csv", "a,b,c\n")
    assert block.frame.columns == COLUMNS
    assert block.frame.is_empty()


TEXTS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8), st.integers(4, 80))
def test_any_csv_reads_back_at_any_block_size(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], size: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    frame = pl.DataFrame(pairs, schema=["a", "b"], orient="row")
    # The key keeps rows of empty texts from being blank lines.
    keyed = frame.with_columns(c=pl.lit("k"))
    keyed.write_csv(path, quote_style="always")
    found = pl.concat([block.frame for block in read_blocks(path, COLUMNS, block_bytes=size)])
    assert found.fill_null("").rows() == keyed.rows()


@given(st.lists(st.dictionaries(st.sampled_from(COLUMNS), TEXTS), min_size=1, max_size=5))
def test_row_json_reads_back(dicts: list[dict[str, str]]) -> None:
    frame = pl.DataFrame(dicts, schema=dict.fromkeys(COLUMNS, pl.String()))
    texts = row_json(frame)
    assert [json.loads(text) for text in texts] == frame.to_dicts()
    assert rows_of_json(texts, COLUMNS).rows() == frame.rows()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"," * 2_000_000, "is no header"),
        (b"x" * 10_000_000, "is no header"),
        (b"a" * 200_000 + b",b\n1,2\n", "end lines with a line feed"),
        (b"a,b\r1,2\r", "end lines with a line feed"),
    ],
)
def test_line_that_is_no_header_is_told_at_once(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        blocks(tmp_path / "x.csv", content)


def test_row_of_ten_megabytes_is_a_row(tmp_path: Path) -> None:
    long = "n" * 10_000_000
    (block,) = blocks(tmp_path / "x.csv", f"a,b,c\n1,{long},2\n3,4,5\n")
    assert block.frame["b"].str.len_bytes().to_list() == [10_000_000, 1]


@pytest.mark.parametrize("value", ['{"x":1}', "[1, 2]", "[" * 50 + "]" * 50])
def test_nested_value_sets_only_its_line_aside(tmp_path: Path, value: str) -> None:
    content = f'{{"a":"1","b":{value}}}\n{{"a":"2","b":"\\"b\\": ["}}\n{{"a":"3","z":{value}}}\n'
    found = blocks(tmp_path / "x.ndjson", content)
    assert aside(found) == [(1, "is_json")]
    assert rows(found) == [(2, ("2", '"b": [')), (3, ("3", None))]


def test_half_a_surrogate_pair_is_no_text(tmp_path: Path) -> None:
    content = '{"a":"\\ud83d\\ude00"}\n{"a":"\\ud83d"}\n{"a":"\\uDE00\\ud83d"}\n'
    found = blocks(tmp_path / "x.ndjson", content)
    assert [line for line, _ in aside(found)] == [2, 3]
    assert rows(found) == [(1, ("\N{GRINNING FACE}",))]
