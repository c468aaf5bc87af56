"""Read CSV, Parquet and NDJSON in blocks of bounded memory, with the line of every row.

Values stay text (Parquet: as typed as they came). A row that can't be read (bad UTF-8, too many
fields, broken JSON) comes back beside the others and stops nothing. What the rows mean is the
business of the contracts.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl

from prebill.core.errors import InputError

#: About half a million events of CSV; a block is the unit of a transaction.
BLOCK_BYTES: Final = 64 * 1024 * 1024
#: Rows of Parquet read at once.
BLOCK_ROWS: Final = 1_000_000
#: A quote that stays open longer than this is never closed.
MAX_RECORD_BYTES: Final = 4 * BLOCK_BYTES
#: A longer first line is no header.
MAX_HEADER_BYTES: Final = 1024 * 1024
SUFFIXES: Final = (".csv", ".parquet", ".ndjson", ".jsonl")

UNREADABLE: Final = pl.Schema(
    {"line": pl.Int64(), "rule": pl.String(), "value": pl.String(), "row_json": pl.String()}
)
#: What the rules of unreadable rows ask for.
READING_RULES: Final = {
    "is_utf8": "the row must be UTF-8: save the file with that encoding",
    "is_complete": "the row has more fields than the header has columns: quote fields with commas",
    "is_csv": "the row is not CSV: double a quote inside a quoted field",
    "is_json": "the line must be one JSON object whose values are texts, numbers or true and false",
}
_FURTHER: Final = "_further_field"
#: Fields without quotes or wholly quoted with inner quotes doubled.
_WHOLE_RECORD: Final = r'^("([^"]|"")*"|[^",]*)(,("([^"]|"")*"|[^",]*))*$'
#: A number after a key, outside a text: an escaped quote never closes a key.
#: Half of a surrogate pair, perhaps without the other: JSON can write it, text can't hold it.
_JSON_SURROGATE: Final = r"\\u[dD][89a-fA-F]"
_JSON_NUMBER: Final = r'([^\\])"\s*:\s*(-?[0-9][0-9.eE+-]*)\s*([,}])'


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a file: ``frame`` has the file's columns, ``lines`` the line of each row.

    ``unreadable`` has the rows that are not in ``frame``: line, rule, value, row_json.
    """

    frame: pl.DataFrame
    lines: pl.Series
    unreadable: pl.DataFrame


def read_blocks(
    path: Path, columns: Sequence[str], *, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Read a file block by block; ``columns`` are the ones to look for in NDJSON.

    A file with a header and no rows gives one empty block, so that its columns can be checked.

    Raises
    ------
    InputError
        The file is empty, can't be opened, or is not of the format that its name says.
    """
    reader = {
        ".csv": _csv_blocks,
        ".parquet": _parquet_blocks,
        ".ndjson": _json_blocks,
        ".jsonl": _json_blocks,
    }.get(path.suffix.lower())
    if reader is None:
        message = f"{path.name}: unknown format; use {', '.join(SUFFIXES)}"
        raise InputError(message, file=path.name)
    try:
        if path.stat().st_size == 0:
            message = f"{path.name} is empty: it needs at least its header"
            raise InputError(message, file=path.name)
        yield from reader(path, columns, block_bytes)
    except OSError as error:
        message = f"{path.name} can't be read: {error.strerror or error}"
        raise InputError(message, file=path.name) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        first = str(error).splitlines()[0][:200]
        message = f"{path.name} is not a {path.suffix.lstrip('.')} file: {first}"
        raise InputError(message, file=path.name) from error


def _csv_blocks(path: Path, _: Sequence[str], block_bytes: int) -> Iterator[Block]:
    with path.open("rb") as file:
        first = first_line(path, file)
        names = _header(path, first)
        rest = _records(path, file, block_bytes)
        line = 2
        for content in rest:
            yield _csv_block(content, names, line)
            line += content.count(b"\n")
        if line == 2:
            yield _csv_block(b"", names, line)


def first_line(path: Path, file: BinaryIO) -> bytes:
    """Read the header of a CSV file.

    Raises
    ------
    InputError
        It is so long that it is none: parsers take minutes for a million columns.
    """
    first = file.readline(MAX_HEADER_BYTES + 1)
    if len(first) > MAX_HEADER_BYTES:
        message = f"{path.name}: the first line is longer than 1 MiB: it is no header"
        raise InputError(message, file=path.name)
    return first


def _header(path: Path, first: bytes) -> list[str]:
    try:
        text = first.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        message = f"{path.name}: the header is not UTF-8: save the file with that encoding"
        raise InputError(message, file=path.name) from error
    try:
        names = [name.strip() for name in next(csv.reader([text]), [])]
    except csv.Error as error:
        message = f"{path.name}: the header can't be read ({error}): end lines with a line feed"
        raise InputError(message, file=path.name) from error
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if not names or "" in names or repeated:
        message = f"{path.name}: the header has {'repeated' if repeated else 'empty'} column names"
        raise InputError(message, file=path.name, columns=repeated)
    return names


def _records(path: Path, file: "object", block_bytes: int) -> Iterator[bytes]:
    """Cut the rest of the file at line ends that lie outside quotes."""
    assert hasattr(file, "read")
    held = b""
    while content := file.read(block_bytes):
        held += content
        if len(content) < block_bytes:  # the end of the file: one block less
            break
        end = _record_end(held)
        if end:
            yield held[:end]
            held = held[end:]
        elif len(held) > MAX_RECORD_BYTES:
            break
    if held.count(b'"') % 2:
        message = f"{path.name}: a quote is opened and never closed; nothing after it was read"
        raise InputError(message, file=path.name)
    if held:
        yield held


def _record_end(content: bytes) -> int:
    """Return where the last whole record ends: after a line end with all quotes closed before."""
    end = content.rfind(b"\n") + 1
    while end and content.count(b'"', 0, end) % 2:
        end = content.rfind(b"\n", 0, content.rfind(b'"', 0, end)) + 1
    return end


def _csv_block(content: bytes, names: list[str], first_line: int) -> Block:
    content, is_lossy = _utf8(content)
    try:
        raw, broken = _parse_csv(content, names), pl.DataFrame(schema=UNREADABLE)
        lines = _csv_lines(raw, first_line, may_span=b'"' in content)
    except pl.exceptions.PolarsError:
        raw, lines, broken = _parse_lines(content, names, first_line)
    everything = raw.select(pl.all_horizontal(pl.all().is_null()).alias("blank"))["blank"]
    rules = raw.select(
        pl.when(pl.col(_FURTHER).is_not_null())
        .then(pl.lit("is_complete"))
        .when(_any_replaced(names) if is_lossy else pl.lit(value=False))
        .then(pl.lit("is_utf8"))
        .alias("rule")
    )["rule"]
    return _split(raw, lines=lines, rules=rules, blank=everything, broken=broken)


def _utf8(content: bytes) -> tuple[bytes, bool]:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("utf-8", errors="replace").encode(), True
    return content, False


def _any_replaced(names: list[str]) -> pl.Expr:
    return pl.any_horizontal(pl.col(name).str.contains("\ufffd", literal=True) for name in names)


def _parse_csv(content: bytes, names: list[str]) -> pl.DataFrame:
    """Parse with a header of our own, which has one more column: rows too long show up in it."""
    header = ",".join(f"c{n}" for n in range(len(names) + 1)).encode() + b"\n"
    raw = pl.read_csv(header + content, infer_schema=False, truncate_ragged_lines=True)
    return raw.rename(dict(zip(raw.columns, [*names, _FURTHER], strict=True)))


def _csv_lines(raw: pl.DataFrame, first_line: int, *, may_span: bool) -> pl.Series:
    """Number the rows; a line end inside a quoted field moves all later rows."""
    if not may_span:
        return pl.int_range(first_line, first_line + raw.height, eager=True).alias("line")
    inside = raw.select(
        pl.sum_horizontal(
            pl.col(name).str.count_matches("\n", literal=True).fill_null(0) for name in raw.columns
        )
        .cast(pl.Int64)
        .alias("inside")
    )["inside"]
    shift = inside.cum_sum() - inside
    return (pl.int_range(raw.height, eager=True) + shift + first_line).alias("line")


def _parse_lines(
    content: bytes, names: list[str], first_line: int
) -> tuple[pl.DataFrame, pl.Series, pl.DataFrame]:
    """Parse a block that has broken quotes line by line, setting the broken lines aside.

    A record over several lines is set aside too: in such a block nobody can tell its end.
    """
    texts = pl.Series("text", content.decode("utf-8").split("\n")).str.strip_chars_end("\r")
    lines = pl.int_range(first_line, first_line + texts.len(), eager=True).alias("line")
    is_written = texts != ""
    texts, lines = texts.filter(is_written), lines.filter(is_written)
    is_whole = texts.str.contains(_WHOLE_RECORD)
    good, broken = "\n".join(texts.filter(is_whole)), texts.filter(~is_whole)
    aside = pl.DataFrame({"line": lines.filter(~is_whole), "value": broken}).select(
        "line", pl.lit("is_csv").alias("rule"), "value", _as_line_json(pl.col("value"))
    )
    return _parse_csv(good.encode(), names), lines.filter(is_whole), aside


def _as_line_json(text: pl.Expr) -> pl.Expr:
    return pl.struct(text.cast(pl.String).alias("_line")).struct.json_encode().alias("row_json")


def _split(
    raw: pl.DataFrame,
    *,
    lines: pl.Series,
    rules: pl.Series,
    blank: pl.Series,
    broken: pl.DataFrame,
) -> Block:
    """Part readable rows, unreadable ones (a rule is named) and blank lines."""
    is_bad = rules.is_not_null()
    further = [_FURTHER] if _FURTHER in raw.columns else []
    if not is_bad.any() and not blank.any():
        return Block(raw.drop(further), lines, broken.cast(UNREADABLE))
    aside = raw.filter(is_bad)
    unreadable = pl.DataFrame(
        {
            "line": lines.filter(is_bad),
            "rule": rules.filter(is_bad),
            "row_json": row_json(aside),
        }
    ).with_columns(pl.col("row_json").alias("value"))
    is_good = ~is_bad & ~blank
    return Block(
        raw.drop(further).filter(is_good),
        lines.filter(is_good),
        pl.concat([broken, unreadable.select(*UNREADABLE)]).cast(UNREADABLE),
    )


def row_json(frame: pl.DataFrame) -> pl.Series:
    """Write each row as a JSON object of texts, as it is kept in the quarantine."""
    if frame.is_empty():
        return pl.Series("row_json", [], dtype=pl.String)
    texts = [_any_text(name, dtype) for name, dtype in frame.schema.items()]
    return frame.select(pl.struct(texts).struct.json_encode().alias("row_json"))["row_json"]


def rows_of_json(texts: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
    """Read rows that :func:`row_json` wrote: the named columns, as text."""
    if texts.is_empty() or not columns:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String()))
    dtype = pl.Struct(dict.fromkeys(columns, pl.String()))
    return texts.str.json_decode(dtype).struct.unnest()


def _any_text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        utc = column.dt.cast_time_unit("us").dt.convert_time_zone("UTC")
        return utc.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").alias(name)
    if dtype == pl.Binary():
        return column.bin.encode("hex").alias(name)
    if dtype.is_nested():
        return pl.struct(column).struct.json_encode().alias(name)
    return column.cast(pl.String)


def _parquet_blocks(path: Path, _: Sequence[str], block_bytes: int) -> Iterator[Block]:
    scanned = pl.scan_parquet(path)
    height = scanned.select(pl.len()).collect().item()
    step = max(1, BLOCK_ROWS * block_bytes // BLOCK_BYTES)
    for start in range(0, max(height, 1), step):
        frame = scanned.slice(start, step).collect()
        lines = pl.int_range(start + 1, start + 1 + frame.height, eager=True).alias("line")
        yield Block(frame, lines, pl.DataFrame(schema=UNREADABLE))


def _json_blocks(path: Path, columns: Sequence[str], block_bytes: int) -> Iterator[Block]:
    line, seen = 1, set[str]()
    with path.open("rb") as file:
        held = b""
        while content := file.read(block_bytes):
            held += content
            end = held.rfind(b"\n") + 1
            if end and len(content) == block_bytes:
                yield _json_block(held[:end], columns, line, seen)
                line += held.count(b"\n", 0, end)
                held = held[end:]
        if held:
            yield _json_block(held, columns, line, seen)


def _json_block(content: bytes, columns: Sequence[str], first_line: int, seen: set[str]) -> Block:
    """Parse a block; ``seen`` gathers the keys of the file: one that never came is no column."""
    content, is_lossy = _utf8(content)
    texts = pl.Series("text", content.decode("utf-8-sig").split("\n")).str.strip_chars()
    lines = pl.int_range(first_line, first_line + texts.len(), eager=True).alias("line")
    is_written = texts != ""
    texts, lines = texts.filter(is_written), lines.filter(is_written)
    # Numbers become texts before parsing: a parser's double would change the 17th digit.
    quoted = texts.str.replace_all(_JSON_NUMBER, '$1":"$2"$3')
    is_object = _are_objects(quoted, columns)
    is_text = _are_texts(texts)
    rules = pl.select(
        pl.when(~is_object)
        .then(pl.lit("is_json"))
        .when((texts.str.contains("\ufffd", literal=True) & is_lossy) | ~is_text)
        .then(pl.lit("is_utf8"))
        .alias("rule")
    )["rule"]
    seen.update(
        name
        for name in columns
        if name not in seen and _names_key(quoted.filter(rules.is_null()), name)
    )
    present = [name for name in columns if name in seen]
    try:
        frame = rows_of_json(quoted.filter(rules.is_null()), present)
    except pl.exceptions.PolarsError:
        is_nested = quoted.str.contains(rf'(^|[^\\])"({"|".join(columns)})"\s*:\s*[\[{{]')
        rules = pl.select(pl.when(is_nested).then(pl.lit("is_json")).otherwise(rules)).to_series()
        frame = rows_of_json(quoted.filter(rules.is_null()), present)
    is_bad = rules.is_not_null()
    unreadable = pl.DataFrame(
        {"line": lines.filter(is_bad), "rule": rules.filter(is_bad), "value": texts.filter(is_bad)}
    ).with_columns(_as_line_json(pl.col("value")))
    return Block(frame, lines.filter(~is_bad), unreadable.select(*UNREADABLE).cast(UNREADABLE))


def _are_objects(texts: pl.Series, columns: Sequence[str]) -> pl.Series:
    """Tell the lines that hold one JSON object; looking at each costs more than parsing all."""
    braced = texts.str.starts_with("{")
    if braced.all():
        try:
            rows_of_json(texts, columns[:1])
        except pl.exceptions.PolarsError:
            pass
        else:
            return braced
    return braced & texts.str.json_path_match("$").is_not_null()


def _are_texts(lines: pl.Series) -> pl.Series:
    """Tell the lines without half a surrogate pair: polars would read another character."""
    is_whole = pl.select(pl.repeat(value=True, n=lines.len())).to_series()
    suspicious = lines.str.contains(_JSON_SURROGATE).arg_true()
    broken = [place for place in suspicious if not _is_text(lines[place])]
    return is_whole.scatter(broken, values=False) if broken else is_whole


def _is_text(line: str) -> bool:
    try:
        json.dumps(json.loads(line), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    except ValueError:  # no JSON: said elsewhere
        pass
    return True


def _names_key(texts: pl.Series, name: str) -> bool:
    """Whether any line has the key; a file without a required one is refused as a whole."""
    if texts.is_empty():
        return True
    return bool(texts.str.contains(json.dumps(name), literal=True).any())
