"""Texts out of files: what is accepted, and the one line that says where a file is wrong."""

import json

import pytest

from strizh.runtime.errors import UsageError
from strizh.runtime.files.readers import open_texts

LONG = "я" * 1_000_000


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def texts(path, column=None):
    source = open_texts(path, column)
    rows = list(source.rows)
    if rows:
        assert rows[-1].position == source.total  # a progress bar ends at its end
    return [row.text for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "раз\nдва\r\n\nтри", ["раз", "два", "", "три"]),
        ("a.txt", "\ufeffwith a mark\n", ["with a mark"]),
        ("a.txt", "form\x0cfeed and \u2028 are no ends of lines\n", ["form\x0cfeed and \u2028 are no ends of lines"]),
        ("a.txt", "NUL\0 inside\n", ["NUL\0 inside"]),
        ("a.txt", "", []),
        ("a.txt", "\ufeff", []),
        ("a.jsonl", "\ufeff", []),
        ("a.txt", "\ufeff\n", [""]),
        ("a.txt", LONG, [LONG]),
        ("a.jsonl", '"строка"\n{"text": "объект", "id": 1}\n', ["строка", "объект"]),
        ("a.jsonl", '{"body": "the only key"}\n', ["the only key"]),
        ("a.jsonl", r'"\ud83d\ude80"', ["🚀"]),
        ("a.csv", 'id,text\n1,"a, ""b""\nand a second line"\n2,\n', ['a, "b"\nand a second line', ""]),
        ("a.csv", "заголовок\r\nодин столбец\r\n", ["один столбец"]),
        ("a.csv", f"text\n{LONG}\n", [LONG]),
        ("A.TXT", "endings in capitals\n", ["endings in capitals"]),
    ],
)
def test_reads(tmp_path, name, content, expected):
    assert texts(write(tmp_path / name, content)) == expected


@pytest.mark.parametrize(
    ("name", "content", "column", "said"),
    [
        ("a.txt", b"ok\n\xff\xfe\n", None, "line 2: byte 0xff is not UTF-8"),
        ("a.txt", "one", "text", "has no columns"),
        ("a.jsonl", '"ok"\n{"text": \n', None, "line 2: not JSON"),
        ("a.jsonl", '"ok"\n\n', None, "line 2: not JSON"),
        ("a.jsonl", "[" * 100_000, None, "line 1: not JSON"),
        ("a.jsonl", '"ok"\n{"id": 1, "body": ""}\n', None, "line 2: no column 'text' among 'id', 'body'; call one"),
        ("a.jsonl", '{"text": ""}\n{"body": ""}\n', None, "line 2: no key 'text'; the object has 'body'"),
        ("a.jsonl", '"ok"\n{"text": null}\n', None, "line 2: the text is null, expected a string"),
        ("a.jsonl", '"ok"\n7\n', None, "line 2: the text is of type int, expected a string"),
        ("a.jsonl", '"ok"\n"\\ud800"\n', None, "line 2: half of a surrogate pair"),
        ("a.csv", "", None, "empty"),
        (
            "a.csv",
            "id,body\n",
            None,
            "no column 'text' among 'id', 'body'; call one of them 'text', or choose it with --column",
        ),
        ("a.csv", "id,text\n1,ok\n", "body", "no column 'body'; its columns are 'id', 'text'"),
        ("a.csv", "id,text\n1,ok\n2\n", None, "line 3: 1 fields, expected 2"),
        ("a.csv", 'id,text\n1,"open\n', None, "line 2: not CSV"),
        ("a.csv", "text;id\nok;1\n", None, "fields are separated by commas here, not by ';'"),
        ("a.csv", "Вопрос|ответ\nда|нет, вряд ли\n", None, "fields are separated by commas here, not by '|'"),
        ("a.csv", "text,text\nno,yes\n", None, "two columns 'text'"),
        ("a.csv", b"text\n\xff\n", None, "line 2: byte 0xff is not UTF-8"),
        ("a.parquet", "no parquet", None, "not a Parquet file"),
        ("a.docx", "", None, "names no format of texts; known are .txt, .jsonl, .csv, .parquet"),
    ],
)
def test_says_where_a_file_is_wrong(tmp_path, name, content, column, said):
    with pytest.raises(UsageError) as error:
        texts(write(tmp_path / name, content), column)
    assert said in str(error.value) and name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("header", ["Вопрос; ответ", "text|raw"])
def test_one_column_may_have_any_name(tmp_path, header):
    assert texts(write(tmp_path / "a.csv", f"{header}\nстриж\nswift; bird | plane\n")) == [
        "стриж",
        "swift; bird | plane",
    ]


def test_a_caller_without_an_option_for_the_column_names_none(tmp_path):
    for name, content in (
        ("a.csv", "id,body\n"),
        ("a.csv", "id;body\n1;ok\n"),
        ("a.jsonl", '{"id": "1", "body": "ok"}\n'),
    ):
        with pytest.raises(UsageError) as error:
            list(open_texts(write(tmp_path / name, content), flag=None).rows)
        assert "--column" not in str(error.value)


def test_missing_file():
    with pytest.raises(UsageError, match="there is no such file"):
        open_texts("nowhere.txt")


def test_a_named_column_wins_over_text(tmp_path):
    rows = [{"text": "no", "body": "yes"}] * 2
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert texts(path, "body") == ["yes", "yes"]


def test_parquet_columns_and_nulls(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "a.parquet")
    parquet.write_table(arrow.table({"id": [1, 2], "text": ["раз", "два"], "note": ["x", None]}), path)
    assert texts(path) == ["раз", "два"]
    with pytest.raises(UsageError, match=r"row 2: the text is null"):
        texts(path, "note")
    with pytest.raises(UsageError, match=r"row 1: the text is of type int"):
        texts(path, "id")
    with pytest.raises(UsageError, match=r"no column 'body'; its columns are 'id', 'text', 'note'"):
        texts(path, "body")


def test_a_damaged_parquet_file_is_one_line_that_says_how_far_it_was_read(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    rows = [f"{number} стрижей" for number in range(600)]
    parquet.write_table(arrow.table({"text": rows}), path, row_group_size=256, compression="gzip", use_dictionary=False)
    assert texts(str(path)) == rows
    data = path.read_bytes()
    start = parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    path.write_bytes(data[:start] + b"\xff" * 64 + data[start + 64 :])
    with pytest.raises(UsageError, match=r"a\.parquet: damaged behind row 256 \(.*write the file again") as caught:
        texts(str(path))
    assert "\n" not in str(caught.value)
