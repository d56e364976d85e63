"""Reading usage files: the formats, the hostile lines, the files that are no such thing."""

import datetime as dt
import gzip
import os
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallystick.errors import TallystickError
from tallystick.usage.billable import BillableRule, compile_rule, judge
from tallystick.usage.decode import Chunk, CsvMapping, Format, combined_log, read_events
from tallystick.usage.decode.open_file import MAX_LINE
from tallystick.usage.model import UsageEvent
from tallystick.usage.sample import write_sample
from tests.usage_rows import rows_of

APACHE_LOGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "apache_logs"
LINE = (
    '83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a/b.png HTTP/1.1" 200 203023 '
    '"http://example.com/" "Mozilla/5.0 (X11)"'
)
COMMON = LINE.partition(' "http')[0]
CLOUD = (
    '{"specversion":"1.0","id":"1","source":"/gateway","type":"http.request","subject":"acme",'
    '"time":"2015-05-17T10:05:03Z","data":{"quantities":{"bytes":7},"status":200,"resource":"/a"}}'
)
JSON = '{"customer":"acme","at":"2015-05-17T12:05:03+02:00","quantities":{"bytes":7}}'
AT = dt.datetime(2015, 5, 17, 10, 5, 3, tzinfo=dt.UTC)


def read(path: Path, text: str | bytes, **how: object) -> list[Chunk]:
    """Write *text*, which is complete, to *path* and read it as usage."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_events(path, **{"complete": True, **how}))  # type: ignore[arg-type]  # tests name what they pass


def events(chunks: list[Chunk]) -> list[UsageEvent]:
    """Return the events of all *chunks*."""
    return [event for chunk in chunks for event in rows_of(chunk)]


def reasons(chunks: list[Chunk]) -> dict[int, str]:
    """Return, by line, what is malformed in *chunks*."""
    return {line: reason for chunk in chunks for line, reason in chunk.malformed}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a test's file goes; its name says nothing of a format."""
    return tmp_path / "usage"


@pytest.mark.skipif(not APACHE_LOGS.exists(), reason=f"real data is absent: {APACHE_LOGS}")
def test_a_real_log_gives_the_figures_that_are_known_of_it() -> None:
    """Of 10,000 real lines one is malformed, and the billable ones add up to the last byte."""
    chunks = list(read_events(APACHE_LOGS))
    rule = compile_rule(BillableRule())
    billed = [event for event in events(chunks) if judge(event.status, event.resource, rule) is None]
    assert sum(chunk.lines for chunk in chunks) == 10_000
    assert reasons(chunks) == {8899: "no agent in quotes after the referer"}
    assert len(billed) == 9170
    assert len({event.customer for event in billed}) == 1681
    assert sum(event.quantities["bytes"] for event in billed) == 2_746_963_047
    assert len({event.id for event in events(chunks)}) == 9999
    assert chunks[-1].bytes_read == chunks[-1].size == APACHE_LOGS.stat().st_size


def test_a_combined_line_becomes_an_event(path: Path) -> None:
    """Who, when and how much come out of a line; its agent and referer do not."""
    (event,) = events(read(path, LINE + "\n"))
    assert event.customer == "83.149.9.216"
    assert event.at == AT
    assert event.quantities == {"bytes": 203023}
    assert (event.status, event.resource, event.type) == (200, "/a/b.png", "http.request")


@pytest.mark.parametrize(
    ("before", "after", "field", "value"),
    [
        ("83.149.9.216", "2001:db8::1", "customer", "2001:db8::1"),
        ("83.149.9.216", "crawl-1.example.org", "customer", "crawl-1.example.org"),
        (" - - ", " - John Doe ", "at", AT),
        (" - - ", " - [x] ", "at", AT),
        ("10:05:03 +0000", "12:05:03 +0200", "at", AT),
        ("10:05:03 +0000", "04:35:03 -0530", "at", AT),
        ("10:05:03", "10:04:60", "at", AT - dt.timedelta(seconds=3)),
        ("203023", "-", "quantities", {"bytes": 0}),
        (" 200 ", " - ", "status", 0),
        ("Mozilla", r"Mo\"zi\\lla", "status", 200),
        ("http://example.com/", r"\" \"x", "resource", "/a/b.png"),
        ("/a/b.png", r"/a\"b", "resource", r"/a\"b"),
        ("/a/b.png", "/a b", "resource", "/a b"),
        ("GET /a/b.png HTTP/1.1", "GET /a/b.png", "resource", "/a/b.png"),
        ("GET /a/b.png HTTP/1.1", "-", "resource", "-"),
        ("GET /a/b.png HTTP/1.1", "", "resource", ""),
        ("GET /a/b.png HTTP/1.1", r"\x16\x03\x01", "resource", r"\x16\x03\x01"),
        ("/a/b.png", "/é", "resource", "/é"),
        ('(X11)"', '(X11)" "10.0.0.1" 0.003', "customer", "83.149.9.216"),
    ],
)
def test_lines_that_are_odd_but_right(path: Path, before: str, after: str, field: str, value: object) -> None:
    """Zones, escapes, IPv6, names with spaces, missing sizes, fields of one's own at the end: real logs have them."""
    assert before in LINE
    (event,) = events(read(path, LINE + "\n" + LINE.replace(before, after) + "\n"))[1:]
    assert getattr(event, field) == value


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("83.149.9.216", "-", "no client address"),
        ("83.149.9.216", "h" * 256, "no client address"),
        ("17/May", "31/Feb", "not one of the calendar"),
        ("+0000", "+9900", "not like 17/May"),
        ("17/May", "17/Mai", "not one of the calendar"),
        ("10:05:03", "10:05:61", "not one of the calendar"),
        ("10:05:03", "25:05:03", "not one of the calendar"),
        ("2015", "0000", "not one of the calendar"),
        ("2015", "1969", "years 1970 to 9999"),
        ("17/May/2015:10:05:03 +0000", "01/Jan/0001:00:00:00 +0100", "not one of the calendar"),
        ("17/May/2015:10:05:03 +0000", "2015-05-17T10:05:03+00:00x", "not like 17/May"),
        ("17/May/2015:10:05:03 +0000", "17/May/2015", "not like 17/May"),
        ("17/May", "١٧/May", "not like 17/May"),
        (" 200 ", " 20 ", "no status"),
        (" 200 ", " ٢٠٠ ", "no status"),
        ("203023", "-5", "no count of bytes"),
        ("203023", "1e3", "no count of bytes"),
        ("203023", "9" * 19, "no count of bytes"),
        (' "Mozilla/5.0 (X11)"', "", "no agent"),
        ('"GET', "GET", "no request in quotes"),
        ("(X11)", 'say "hi', "no agent"),
        ("/a/b.png", "/\0", "NUL"),
        ("(X11)", "x" * MAX_LINE, "longer than"),
    ],
)
def test_lines_that_are_wrong_say_why(path: Path, before: str, after: str, reason: str) -> None:
    """A hostile line is reported by number and reason, and costs none of its neighbours."""
    assert before in LINE
    many = (LINE + "\n") * 600
    chunks = read(path, many + LINE.replace(before, after) + "\n" + LINE)
    assert len(events(chunks)) == 601
    assert list(reasons(chunks)) == [601]
    assert reason in reasons(chunks)[601]


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
@pytest.mark.parametrize("form", ["combined", "json-lines", "csv", "cloudevents"])
def test_malformed_utf8_costs_its_line_only(path: Path, bad: bytes, form: str) -> None:
    """A line that is not UTF-8 is malformed; the lines around it count."""
    line, header = {
        "combined": (LINE, ""),
        "json-lines": (JSON, ""),
        "cloudevents": (CLOUD, ""),
        "csv": ("a,2015-05-17T10:05:03Z", "customer,at\n"),
    }[form]
    middle = line.encode().replace(b"a", b"a" + bad, 1)
    chunks = read(path, header.encode() + line.encode() + b"\n" + middle + b"\n" + line.encode() + b"\n", format=form)
    assert len(events(chunks)) == 2
    assert len(reasons(chunks)) == 1


def test_a_line_cut_anywhere_is_malformed_and_nothing_else() -> None:
    """A combined line cut after any byte never passes for another one, not even for one in the common format."""
    for end in range(len(LINE)):
        assert not combined_log.looks_combined(LINE[:end])


@pytest.mark.parametrize("line", [LINE, JSON, CLOUD])
def test_a_cut_file_is_reported_whatever_its_last_byte(path: Path, line: str) -> None:
    """Whatever a crash cuts off, the whole line before stays and the cut one is named."""
    for end in range(1, len(line)):
        chunks = read(path, line + "\n" + line[:end])
        assert len(events(chunks)) == 1
        assert list(reasons(chunks)) == [2]


def test_the_quick_grammar_and_the_whole_one_agree() -> None:
    """What the quick expression takes, the whole one takes too, with the same parts."""
    for line in [LINE, LINE.replace(" - - ", " a b c "), LINE.replace("200", "500"), LINE.replace("(X11)", "")]:
        quick, whole = combined_log._PLAIN_COMBINED.fullmatch(line), combined_log._COMBINED.fullmatch(line)
        assert quick is not None
        assert whole is not None
        assert quick.groups() == (whole[1], whole[2], whole[3], whole[5], whole[6])


def test_equal_lines_are_requests_of_their_own(path: Path) -> None:
    """The same line twice in one file is two events, and reading the file again names them the same."""
    first = [event.id for event in events(read(path, (LINE + "\n") * 3))]
    assert len(set(first)) == 3
    assert [event.id for event in events(read(path, (LINE + "\n") * 3, chunk=1))] == first


def test_ids_outlive_growth_compression_and_line_breaks(path: Path) -> None:
    """A log that has grown, been compressed or got Windows line breaks gives its old lines their old ids."""
    before = [event.id for event in events(read(path, (LINE + "\n" + COMMON + ' "-" "-"\n') * 4, chunk=3))]
    more = (LINE + "\n" + COMMON + ' "-" "-"\n') * 9
    assert [event.id for event in events(read(path, more, chunk=4))][:8] == before
    assert [event.id for event in events(read(path, gzip.compress(more.encode())))][:8] == before
    assert [event.id for event in events(read(path, more.replace("\n", "\r\n")))][:8] == before


def test_what_is_appended_while_reading_is_left_for_the_next_run(path: Path) -> None:
    """Only what stood in the file when it was opened is read; its last, half-written line is named and left."""
    path.write_text((LINE + "\n") * 10 + LINE[:100])
    chunks = []
    for chunk in read_events(path, chunk=4):
        chunks.append(chunk)
        with path.open("a") as file:
            file.write(LINE[100:] + "\n" + LINE + "\n")
    assert len(events(chunks)) == 10
    assert reasons(chunks) == {}
    assert chunks[-1].unfinished == 11


def test_a_line_completed_while_reading_is_not_taken_for_what_it_was(path: Path) -> None:
    """A last line that was whole when the file was opened, but got longer since, waits for the next run."""
    path.write_text((LINE + "\n") * 10 + LINE)
    reading = read_events(path, complete=True, chunk=4)
    with path.open("a") as file:
        file.write("0\n" + LINE + "\n")
    chunks = list(reading)
    assert len(events(chunks)) == 10
    assert chunks[-1].unfinished == 11


@pytest.mark.parametrize(
    ("before", "last"),
    [
        (LINE, LINE + " 0.1"),
        (COMMON, COMMON),
        ("customer,at,bytes", "a,2015-05-17T10:05:03Z,12"),
        (JSON, JSON[:-1]),
        (CLOUD, CLOUD[:-1]),
    ],
)
def test_a_last_line_that_may_go_on_is_left_and_named(path: Path, before: str, last: str) -> None:
    """A writer may pause in the middle of a number: without its line break such a line is no event yet."""
    chunks = read(path, f"{before}\n{last}", complete=False)
    assert sum(chunk.lines for chunk in chunks) == 1
    assert reasons(chunks) == {}
    assert chunks[-1].unfinished == 2


@pytest.mark.parametrize("line", [JSON, CLOUD])
def test_a_whole_object_counts_without_a_break(path: Path, line: str) -> None:
    """A JSON object shows its own end, and what follows it on its line changes nothing of it."""
    (alone,) = events(read(path, line, complete=False))
    (spaced,) = events(read(path, line + " \r\n", complete=False))
    assert alone == spaced


def test_a_file_that_is_said_to_be_complete_or_is_gzip_has_its_last_line(path: Path) -> None:
    """A file that simply ends without a line break loses nothing: somebody says so, or gzip's trailer does."""
    for text, complete in ((LINE + "\n" + LINE, True), (gzip.compress((LINE + "\n" + LINE).encode()), False)):
        chunks = read(path, text, complete=complete)
        assert len(events(chunks)) == 2
        assert chunks[-1].unfinished is None


def test_a_cut_gzip_gives_its_whole_lines_and_then_says_so(path: Path) -> None:
    """Nothing before the damage is lost, and the damage is an error."""
    compressed = gzip.compress("".join(f'{LINE[:-1]}{number}"\n' for number in range(50_000)).encode())
    path.write_bytes(compressed[: len(compressed) // 2])
    chunks: list[Chunk] = []
    with pytest.raises(TallystickError, match="damaged") as caught:
        chunks.extend(read_events(path))
    seen = len(events(chunks))
    assert reasons(chunks) == {}
    assert caught.value.code == "usage.damaged_file"
    assert seen > 10_000


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "usage.empty_file"),
        (b"\n \r\n", "usage.empty_file"),
        (gzip.compress(b"", mtime=0), "usage.empty_file"),
        (b"\x7fELF\0\0\0", "usage.not_a_text_file"),
        (gzip.compress(b"a\0b", mtime=0), "usage.not_a_text_file"),
        ("customer,at\n".encode("utf-16"), "usage.not_a_text_file"),
        (b"\x1f\x8bnot gzip", "usage.damaged_file"),
        (b"\x1f\x8b", "usage.damaged_file"),
        (b"hello\nworld\n", "usage.unknown_format"),
        (b"\xff\xfe\xfd\n", "usage.unknown_format"),
    ],
)
def test_files_that_are_no_usage_are_refused_by_name(path: Path, content: bytes, code: str) -> None:
    """A binary, an empty file, prose: each refused at once with its own code."""
    with pytest.raises(TallystickError) as caught:
        read(path, content)
    assert caught.value.code == code
    assert str(path.name) in str(caught.value)


def test_a_nul_costs_its_line_alone_where_the_format_is_named(path: Path) -> None:
    """Wherever it stands: text is what the caller says it is."""
    chunks = read(path, JSON + "\n" + JSON.replace("acme", "a\0me") + "\n" + JSON + "\n", format="json-lines")
    assert len(events(chunks)) == 2
    assert reasons(chunks) == {2: "the line has a NUL byte"}


def test_what_cannot_be_opened_is_refused(path: Path, tmp_path: Path) -> None:
    """A missing file, a directory and a pipe are unreadable, and none of them is waited for."""
    os.mkfifo(tmp_path / "pipe")
    for place in (path, tmp_path, tmp_path / "pipe", tmp_path / "x\0y"):
        with pytest.raises(TallystickError) as caught:
            read_events(place)
        assert caught.value.code == "usage.unreadable_file"


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("x", LINE, Format.COMBINED),
        ("x", "cut short\n" + LINE, Format.COMBINED),
        ("x", COMMON, Format.COMMON),
        ("x", JSON, Format.JSON_LINES),
        ("x", CLOUD, Format.CLOUDEVENTS),
        ("x", f"[{CLOUD}]", Format.CLOUDEVENTS),
        ("x", CLOUD.replace(",", ",\n"), Format.CLOUDEVENTS),
        ("x", "\ufeffcustomer,at\na,2015-05-17T10:05:03Z", Format.CSV),
    ],
)
def test_the_format_is_told_from_the_content(tmp_path: Path, name: str, text: str, form: Format) -> None:
    """Nobody has to name the format of an ordinary file."""
    chunks = read(tmp_path / name, text)
    assert chunks[0].format is form
    assert len(events(chunks)) == 1


def test_a_common_log_is_read_as_one(path: Path) -> None:
    """Without referer and agent a line is whole where the log never has them."""
    chunks = read(path, COMMON + "\n" + LINE + "\n", format="common")
    assert [event.quantities for event in events(chunks)] == [{"bytes": 203023}] * 2


def test_csv_columns_go_by_a_mapping(path: Path) -> None:
    """Columns have any names; quantities are exact; a line of its own id keeps it."""
    mapping = CsvMapping(id="n", customer="who", at="when", quantities={"gb": "GB"}, status="s", resource="url")
    text = 'n,who,when,GB,s,url\n7,"Acme, Inc",2015-05-17T10:05:03Z,0.125,200,/a\n,b,2015-05-17 12:05:03+02:00,3,,/\n'
    first, second = events(read(path, text, mapping=mapping))
    assert (first.id, first.customer, first.at, first.status) == ("7", "Acme, Inc", AT, 200)
    assert first.quantities == {"gb": Decimal("0.125")}
    assert second.quantities == {"gb": 3}
    assert isinstance(second.quantities["gb"], int)
    assert (second.at, second.status, len(second.id)) == (AT, None, 36)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a", "has 1 fields where the header has 3"),
        ("a,2015-05-17T10:05:03Z,1,2", "has 4 fields"),
        (",2015-05-17T10:05:03Z,1", "customer must have"),
        ("a,2015-05-17T10:05:03,1", "at must name its time zone"),
        ("a,yesterday,1", "at must be a time"),
        ('a,"2015-05-17T10:05:03,1234567Z",1', "at must not be finer"),
        ("a,20150517T100503.1234567Z,1", "at must not be finer"),
        ("a,0001-01-01T00:00:00+01:00,1", "years 1970 to 9999"),
        ("a,2015-05-17T10:05:03Z,-1", "quantities.bytes must be a number that is not negative"),
        ("a,2015-05-17T10:05:03Z,NaN", "quantities.bytes must be a number"),
        ("a,2015-05-17T10:05:03Z,1e9", "quantities.bytes must be a number"),
        ("a,2015-05-17T10:05:03Z,", "quantities.bytes must be a number"),
        ("a,2015-05-17T10:05:03Z,١", "quantities.bytes must be a number"),
        ("a,2015-05-17T10:05:03Z," + "9" * 31, "at most 30 digits"),
        ('"a,2015-05-17T10:05:03Z,1', "not CSV on one line"),
        ('"a"x,2015-05-17T10:05:03Z,1', "not CSV on one line"),
    ],
)
def test_csv_lines_that_are_wrong_say_why(path: Path, line: str, reason: str) -> None:
    """A stray quote or a bad number costs its own line."""
    good = "a,2015-05-17T10:05:03Z,1"
    chunks = read(path, f"customer,at,bytes\n{good}\n{line}\n{good}\n")
    assert len(events(chunks)) == 2
    assert reason in reasons(chunks)[3]


def test_a_mapping_goes_with_csv_alone(path: Path) -> None:
    """A mapping given for another format is refused rather than passed over; without a format it means CSV."""
    with pytest.raises(TallystickError, match="only CSV has columns"):
        read(path, LINE, format="combined", mapping=CsvMapping("who", "when"))
    assert len(events(read(path, "who,when\na,2015-05-17T10:05:03Z\n", mapping=CsvMapping("who", "when")))) == 1


def test_a_format_that_does_not_exist_is_refused(path: Path) -> None:
    """The answer lists the formats there are."""
    with pytest.raises(TallystickError, match="name one of combined, common, csv") as caught:
        read(path, LINE, format="xml")
    assert (caught.value.code, caught.value.field) == ("usage.unknown_format", "format")


def test_a_mapping_that_does_not_fit_is_refused(path: Path) -> None:
    """A column that the header lacks, or has twice, is named."""
    for header in ("who,when", "who,when,GB,GB"):
        with pytest.raises(TallystickError, match='"GB" is') as caught:
            read(path, header + "\na,b,c,d\n", mapping=CsvMapping("who", "when", quantities={"gb": "GB"}))
        assert caught.value.code == "usage.invalid_mapping"


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (":7", ":7.5", "quantities.bytes must be an integer, or a decimal in a string"),
        (":7", ":1e400", "quantities.bytes must be an integer, or a decimal in a string"),
        ("{", '{"customer":"eve",', "customer stands there twice"),
        (":7", ':7,"bytes":8', "quantities.bytes stands there twice"),
        ("17T", "32T", "at must be a time of the calendar and the clock"),
        (":7", ":7.0", "must be an integer"),
        (":7", ":1e3", "must be an integer"),
        (":7", ":NaN", "quantities.bytes must be a number"),
        (":7", ":-7", "quantities.bytes must not be negative"),
        (":7", ":" + "9" * 31, "at most 30 digits"),
        (":7", ":true", "must be"),
        (":7}", ':7,"z":true},"status":"x"', "quantities.z must be"),
        (":7", ':"0.5e3"', "without an exponent"),
        ('"bytes"', '"by tes"', "must be named"),
        ('"acme"', '""', "customer must have"),
        ('"acme"', '"a\\u0000b"', "customer must not contain a NUL"),
        ('"acme"', '"\\ud800"', "customer has half of a surrogate pair"),
        ('"acme"', f'"{"x" * 256}"', "customer must have"),
        ("T12", "x12", "at "),
        ("+02:00", "", "at must name its time zone"),
        ("{", '{"colour":"red",', "colour"),
        ("{", '{"status":-1,', "status must be"),
        (JSON, "[" * 100_000, "must be an object"),
        (JSON, "null", "must be an object"),
    ],
)
def test_json_lines_that_are_wrong_say_why(path: Path, before: str, after: str, reason: str) -> None:
    """A float for a quantity, an unknown field, a number too long: field and rule are named."""
    chunks = read(path, JSON + "\n" + JSON.replace(before, after, 1) + "\n" + JSON + "\n", format="json-lines")
    assert len(events(chunks)) == 2
    assert reason in reasons(chunks)[2]


@pytest.mark.parametrize(
    ("last", "reason"), [('"z":true', "quantities.z must be"), ('"n0":0', "quantities.n0 stands there twice")]
)
def test_a_line_of_many_names_stops_nobody(path: Path, last: str, reason: str) -> None:
    """However many there are, each is looked at a few times, and the one at fault is named."""
    many = ",".join(f'"n{number}":0' for number in range(50_000))
    began = time.process_time()
    assert reason in reasons(read(path, JSON.replace('"bytes":7', f"{many},{last}"), format="json-lines"))[1]
    assert time.process_time() - began < 10


def test_a_dimension_may_be_called_as_the_instant_is(path: Path) -> None:
    """Only the instant itself is held against how fine instants are."""
    given = JSON.replace("}}", '},"dimensions":{"at":"v1.1234567"}}')
    assert events(read(path, given))[0].dimensions == {"at": "v1.1234567"}


def test_json_decimals_are_exact(path: Path) -> None:
    """A decimal in a string stays the decimal that it is; a long integer stays an integer."""
    (event,) = events(read(path, JSON.replace(":7", ':"0.1","n":123456789012345678901234567890')))
    assert event.quantities == {"bytes": Decimal("0.1"), "n": 123456789012345678901234567890}
    assert event.at == AT


def test_cloudevents_come_alone_in_lines_and_in_arrays(path: Path) -> None:
    """All ways give the same event, known by its own source and id."""
    other = CLOUD.replace('"id":"1"', '"id":"2"')
    for text in (f"{CLOUD}\n{other}\n", f"[{CLOUD},\n {other}]"):
        first, second = events(read(path, text))
        assert [(one.source, one.id) for one in (first, second)] == [("/gateway", "1"), ("/gateway", "2")]
        assert (first.customer, first.at, first.quantities) == ("acme", AT, {"bytes": 7})
        assert (first.status, first.resource) == (200, "/a")


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('"1.0"', '"0.3"', "specversion must be 1.0"),
        ('"subject":"acme",', "", "subject"),
        ('"id":"1"', '"id":""', "id must have from 1 to 255"),
        ("03Z", "03", "time must name its time zone"),
        (":7", ":7.5", "data.quantities.bytes must be an integer"),
        ('"data":{', '"data_base64":"AA==","data":{', "data_base64 is not read"),
        ('"data":{', '"data":{"x":1,', "data.x is not known here"),
        ('"source":"/gateway"', '"source":"s\\u0000"', "source must not contain a NUL"),
        ('"id":"1"', '"id":"1","id":"2"', "id stands there twice"),
        ('"id":"1"', '"id":"1","colour":"red"', "colour is not known here"),
        (":7", ":NaN", "data.quantities.bytes must be a number"),
        (":7", ":1e400", "data.quantities.bytes must be an integer"),
        ('"acme"', '"\\ud800"', "subject has half of a surrogate pair"),
        ("03Z", "03.1234567Z", "time must not be finer"),
    ],
)
def test_cloudevents_that_are_wrong_say_why(path: Path, before: str, after: str, reason: str) -> None:
    """In an array the place of the element is named, and the others count."""
    chunks = read(path, f"[{CLOUD},{CLOUD.replace(before, after)},{CLOUD}]")
    assert len(events(chunks)) == 2
    assert reason in reasons(chunks)[2]


def test_a_value_nested_without_end_costs_its_line(path: Path) -> None:
    """An attribute a hundred thousand arrays deep is malformed, not the end of the process."""
    deep = CLOUD.replace("{", '{"deep":' + "[" * 100_000 + "]" * 100_000 + ",", 1)
    chunks = read(path, f"{CLOUD}\n{deep}\n{CLOUD}\n")
    assert len(events(chunks)) == 2
    assert "deep is not known here" in reasons(chunks)[2]


def test_an_array_that_is_cut_is_malformed(path: Path) -> None:
    """Half an array is no array: nothing of it is taken."""
    chunks = read(path, f"[{CLOUD},{CLOUD}")
    assert events(chunks) == []
    assert "not a JSON array" in reasons(chunks)[1]


def test_every_line_is_accounted_for(path: Path) -> None:
    """Events, malformed and skipped lines add up to the lines of each chunk, whatever its size."""
    text = f"{LINE}\n\n{LINE[:90]}\n{LINE}\0\n" * 7
    for size in (1, 2, 5, 5000):
        chunks = read(path, LINE + "\n" * 70_000 + text, chunk=size * 100)
        assert all(len(c.events) + len(c.malformed) + c.skipped == c.lines for c in chunks)
        assert sum(len(c.events) for c in chunks) == 8
        assert sum(len(c.malformed) for c in chunks) == 14


PIECES = st.lists(st.sampled_from([LINE, JSON, CLOUD, "\n", '"', "[", "{", ","]), min_size=1)


@settings(max_examples=150, print_blob=True, deadline=None)
@given(
    content=st.binary(min_size=1, max_size=200) | PIECES.map("".join).map(str.encode),
    form=st.sampled_from([None, *Format]),
    zipped=st.booleans(),
)
@example(content=b"\x1f\x8b\x08", form=None, zipped=False)
@example(content=b'"\n', form=Format.CSV, zipped=False)
def test_no_bytes_crash_a_reader(
    tmp_path_factory: pytest.TempPathFactory,
    content: bytes,
    form: Format | None,
    zipped: bool,  # noqa: FBT001 - Hypothesis passes it by name
) -> None:
    """Whatever a file holds, it is events, malformed lines, or an error with a code."""
    path = tmp_path_factory.getbasetemp() / "any"
    try:
        chunks = read(path, gzip.compress(content) if zipped else content, format=form)
    except TallystickError as error:
        assert error.code.startswith("usage.")  # noqa: PT017 - an error is one of two good ends
    else:
        assert all(len(c.events) + len(c.malformed) + c.skipped == c.lines for c in chunks)


def test_the_sample_is_the_same_every_time_and_looks_real(tmp_path: Path) -> None:
    """The sample has about 400 customers, all kinds of statuses, cut lines and repeated ones; the seed decides it."""
    write_sample(tmp_path / "one", lines=20_000)
    write_sample(tmp_path / "two", lines=20_000)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    chunks = list(read_events(tmp_path / "one"))
    found = events(chunks)
    assert sum(chunk.lines for chunk in chunks) == 20_000
    assert 350 <= len({event.customer for event in found}) <= 400
    assert 1 <= len(reasons(chunks)) <= 20
    assert {(event.at.year, event.at.month) for event in found} == {(2015, 5)}
    lines = (tmp_path / "one").read_text().splitlines()
    assert len(set(lines)) < len(lines)
    assert len({event.id for event in found}) == len(found)
