"""A table of hostile, broken and merely odd requests, each with the one answer that every stack must give."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from stackmatrix.contract.answer import Deviation, Essence, compact, problem, success
from stackmatrix.contract.endpoints import JSON, note_json
from stackmatrix.contract.exchange import Exchange, Subject
from stackmatrix.http import Headers, Request

LIMIT = 65_536
EMOJI = "🎉"


@dataclass(frozen=True)
class Stored:
    """The note that an odd but good body must become; its id is the table's next."""

    title: str
    description: str


@dataclass(frozen=True)
class Case:
    """One request under a name of its own, and its answer: a problem, a fixed answer, or a stored note."""

    name: str
    request: Request
    due: Essence | Stored

    def exchange(self, number: int) -> Exchange:
        if isinstance(self.due, Essence):
            return Exchange(self.request, self.due, self.name)
        body = note_json(number, self.due.title, self.due.description)
        return Exchange(self.request, success(body, 201, f"/notes/{number}"), self.name)


def hostile_requests(subject: Subject) -> Iterator[Deviation]:
    """Send every case; afterwards the table must hold what was accepted, and nothing of what was refused."""
    subject.runtime.reset_notes()
    notes = notes_in_table(subject)
    for case in subject.steps(CASES):
        found = list(subject.put([case.exchange(notes + 1)]))
        notes += isinstance(case.due, Stored)
        if found and (now := notes_in_table(subject)) != notes:
            found.append(Deviation(f"{case.name}: notes in the table afterwards", str(notes), str(now)))
            notes = now
        yield from found
    if (now := notes_in_table(subject)) != notes:
        yield Deviation("notes in the table after all cases", str(notes), str(now))


def notes_in_table(subject: Subject) -> int:
    """Count the notes in the table; nothing here deletes one, so this is the last id as well."""
    return int(subject.runtime.sql("SELECT count(*) FROM notes"))


def refused(status: int, name: str, method: str, target: str, allow: str | None = None) -> Case:
    return Case(name, Request(method, target), problem(status, allow))


def accepted(name: str, target: str, answer: object, headers: Headers = ()) -> Case:
    return Case(name, Request("GET", target, None, headers), success(compact(answer)))


def body(name: str, text: bytes, due: Stored | int, headers: Headers = JSON, chunked: bool = False) -> Case:
    answer = due if isinstance(due, Stored) else problem(due)
    return Case(f"body: {name}", Request("POST", "/notes/", text, headers, chunked=chunked), answer)


def members(name: str, title: object, description: object, due: Stored | int) -> Case:
    return body(name, orjson.dumps({"title": title, "description": description}), due)


def kept(name: str, title: str, description: str = "") -> Case:
    return members(name, title, description, Stored(title, description))


def padded(size: int) -> bytes:
    head, tail = b'{"title":"t","description":"d","ignored":"', b'"}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


def with_media_type(media_type: str | None, due: Stored | int) -> Case:
    headers = () if media_type is None else (("Content-Type", media_type),)
    return body(f"Content-Type {'missing' if media_type is None else repr(media_type)}", GOOD, due, headers)


def with_headers(name: str, *headers: tuple[str, str]) -> Case:
    return Case(f"header: {name}", Request("GET", FULL_PAGE, None, headers), FIRST_NOTES)


GOOD = b'{"title":"t","description":"d"}'
KEPT = Stored("t", "d")
FULL_PAGE = "/notes/?limit=20"  # long enough that a server which compresses would
FIRST_NOTES = success(b"[%b]" % b",".join(note_json(i, f"note {i}", f"description of note {i}") for i in range(1, 21)))

NOT_NUMBERS = {
    "empty": "",
    "a word": "abc",
    "a minus sign": "-1",
    "a plus sign": "%2B5",
    "a plus that is a space": "+5",
    "a space before": "%205",
    "a space after": "5%20",
    "a line feed after": "5%0A",
    "a NUL after": "5%00",
    "a decimal point": "1.0",
    "an exponent": "1e1",
    "an underscore": "1_0",
    "a comma": "1%2C0",
    "hexadecimal": "0x10",
    "Arabic-Indic digits": "%D9%A1",
    "full-width digits": "%EF%BC%91",
    "a superscript": "%C2%B2",
    "11 digits": "00000000001",
    "bytes that are not UTF-8": "%FF",
    "a broken percent escape": "%zz",
    "SQL": "1%20OR%201%3D1",
    "SQL after a semicolon": "1;DROP%20TABLE%20notes",
    "NaN": "NaN",
    "true": "true",
    "two numbers": "1,2",
    "brackets": "[1]",
}

NUMBERS = (
    *(refused(422, f"ms: {name}", "GET", f"/sleep?ms={text}") for name, text in NOT_NUMBERS.items()),
    refused(422, "ms: missing on /sleep", "GET", "/sleep"),
    refused(422, "ms: missing on /http", "GET", "/http?n=2"),
    refused(422, "ms: missing on /query", "GET", "/query"),
    refused(422, "ms: one over on /sleep", "GET", "/sleep?ms=60001"),
    refused(422, "ms: one over on /http", "GET", "/http?ms=60001"),
    refused(422, "ms: one over on /query", "GET", "/query?ms=60001"),
    refused(422, "ms: ten digits", "GET", "/sleep?ms=9999999999"),
    refused(422, "ms: SQL on /query", "GET", "/query?ms=0);SELECT%20pg_sleep(9"),
    refused(422, "ms: in another case", "GET", "/sleep?MS=1"),
    refused(422, "n: zero", "GET", "/sleep?ms=0&n=0"),
    refused(422, "n: one over", "GET", "/sleep?ms=0&n=101"),
    refused(422, "n: empty", "GET", "/http?ms=0&n="),
    refused(422, "n: negative", "GET", "/http?ms=0&n=-1"),
    refused(422, "n: one over on /http", "GET", "/http?ms=0&n=101"),
    refused(422, "n: missing on /data", "GET", "/data"),
    refused(422, "n: zero on /data", "GET", "/data?n=0"),
    refused(422, "n: one over on /data", "GET", "/data?n=101"),
    refused(422, "n: a path on /data", "GET", "/data?n=..%2F..%2Fetc%2Fpasswd"),
    refused(422, "limit: zero", "GET", "/notes/?limit=0"),
    refused(422, "limit: one over", "GET", "/notes/?limit=101"),
    refused(422, "limit: empty", "GET", "/notes/?limit="),
    refused(422, "after: negative", "GET", "/notes/?after=-1"),
    refused(422, "after: 11 digits", "GET", "/notes/?after=10000000000"),
    refused(422, "after: SQL", "GET", "/notes/?after=0%20OR%201%3D1"),
    accepted("ms: ten digits of which nine are leading zeros", "/sleep?ms=0000000001", {"waited_ms": [1]}),
    accepted("ms: a percent-encoded digit", "/sleep?ms=%31", {"waited_ms": [1]}),
    accepted("n: leading zeros", "/sleep?ms=0&n=002", {"waited_ms": [0, 0]}),
    accepted("after: the largest", "/notes/?after=9999999999", []),
    accepted("unknown query parameters", "/sleep?ms=1&foo=bar&_=1&limit=x", {"waited_ms": [1]}),
    accepted("a query of 4 000 bytes", "/sleep?ms=1&x=" + "y" * 4000, {"waited_ms": [1]}),
)

CHOICES = (
    refused(422, "mode: unknown", "GET", "/sleep?ms=0&mode=random"),
    refused(422, "mode: empty", "GET", "/sleep?ms=0&mode="),
    refused(422, "mode: another case", "GET", "/http?ms=0&mode=Parallel"),
    refused(422, "mode: a space after", "GET", "/http?ms=0&mode=parallel%20"),
    refused(422, "mode: cut short", "GET", "/sleep?ms=0&mode=par"),
    refused(422, "size: missing", "GET", "/json"),
    refused(422, "size: empty", "GET", "/json?size="),
    refused(422, "size: unknown", "GET", "/json?size=huge"),
    refused(422, "size: another case", "GET", "/json?size=Small"),
    refused(422, "size: a path", "GET", "/json?size=..%2Fjson%2Fsmall"),
    refused(422, "size: a NUL after", "GET", "/json?size=small%00"),
    refused(422, "size: with its suffix", "GET", "/json?size=small.json"),
)

IDS = (
    refused(422, "id: zero", "GET", "/notes/0"),
    refused(422, "id: ten zeros", "GET", "/notes/0000000000"),
    refused(422, "id: negative", "GET", "/notes/-1"),
    refused(422, "id: a plus sign", "GET", "/notes/+1"),
    refused(422, "id: a word", "GET", "/notes/abc"),
    refused(422, "id: a decimal point", "GET", "/notes/1.0"),
    refused(422, "id: 11 digits", "GET", "/notes/10000000000"),
    refused(422, "id: Arabic-Indic digits", "GET", "/notes/%D9%A1"),
    refused(422, "id: a line feed after", "GET", "/notes/1%0A"),
    refused(422, "id: a NUL", "GET", "/notes/%00"),
    refused(422, "id: SQL", "GET", "/notes/1%20OR%201%3D1"),
    refused(422, "id: a word, deleting", "DELETE", "/notes/abc"),
    refused(404, "id: over 32 bits", "GET", "/notes/4294967297"),
    refused(404, "id: the largest", "GET", "/notes/9999999999"),
    refused(404, "id: the largest, deleting", "DELETE", "/notes/9999999999"),
    Case("id: the largest, replacing", Request("PUT", "/notes/9999999999", GOOD, JSON), problem(404)),
    Case("id: zero, replacing", Request("PUT", "/notes/0", GOOD, JSON), problem(422)),
    Case("id: a bad body for a note that is not there", Request("PUT", "/notes/9999999999", b"{}", JSON), problem(422)),
    Case("id: no Content-Type, replacing", Request("PUT", "/notes/1", GOOD), problem(415)),
    Case("id: too large, replacing", Request("PUT", "/notes/1", padded(LIMIT + 1), JSON), problem(413)),
)

ROUTES = (
    *(
        refused(404, f"path: {path}", "GET", path)
        for path in (
            "/nowhere",
            "/notes",
            "/notes/1/",
            "/notes//",
            "/notes//1",
            "/notes/a/b",
            "//notes/",
            "//",
            "/sleep/?ms=1",
            "//sleep?ms=1",
            "/sleep/extra?ms=1",
            "/SLEEP?ms=1",
            "/query/?ms=1",
            "/http/?ms=1",
            "/data/?n=1",
            "/json/?size=small",
            "/healthz/",
            "/index.html",
            "/favicon.ico",
            "/static/app.js",
            "/docs",
            "/openapi.json",
            "/..%2F..%2Fetc%2Fpasswd",
            "/%00",
            "/%FF",
        )
    ),
    refused(404, "path: POST without the slash", "POST", "/notes"),
    refused(404, "path: unknown, deleting", "DELETE", "/nowhere"),
    refused(405, "method: POST /", "POST", "/", "GET"),
    refused(405, "method: DELETE /healthz", "DELETE", "/healthz", "GET"),
    refused(405, "method: PUT /notes/", "PUT", "/notes/", "GET, POST"),
    refused(405, "method: DELETE /notes/", "DELETE", "/notes/", "GET, POST"),
    refused(405, "method: PATCH /notes/", "PATCH", "/notes/", "GET, POST"),
    refused(405, "method: POST /notes/1", "POST", "/notes/1", "GET, PUT, DELETE"),
    refused(405, "method: PATCH /notes/1", "PATCH", "/notes/1", "GET, PUT, DELETE"),
    refused(405, "method: POST /query", "POST", "/query?ms=1", "GET"),
    refused(405, "method: POST /sleep", "POST", "/sleep?ms=1", "GET"),
    refused(405, "method: PUT /http", "PUT", "/http?ms=1", "GET"),
    refused(405, "method: PATCH /data", "PATCH", "/data?n=1", "GET"),
    refused(405, "method: DELETE /json", "DELETE", "/json?size=small", "GET"),
    refused(405, "method: wrong, and the parameter too", "POST", "/sleep?ms=abc", "GET"),
    Case("method: wrong, with a body", Request("PUT", "/sleep?ms=1", GOOD, JSON), problem(405, "GET")),
)

MEDIA_TYPES = (
    with_media_type(None, 415),
    with_media_type("", 415),
    with_media_type("text/plain", 415),
    with_media_type("text/json", 415),
    with_media_type("application/jsonx", 415),
    with_media_type("application/json-patch+json", 415),
    with_media_type("application/vnd.api+json", 415),
    with_media_type("application/x-www-form-urlencoded", 415),
    with_media_type("multipart/form-data; boundary=x", 415),
    with_media_type("text/plain; application/json", 415),
    with_media_type("application/json; charset=utf-8", KEPT),
    with_media_type("application/json;charset=latin-1", KEPT),
    with_media_type("application/json ; x=y", KEPT),
    with_media_type("APPLICATION/JSON", KEPT),
    with_media_type("Application/Json; Charset=UTF-8", KEPT),
)

BODIES = (
    body("none", b"", 422),
    body("only white space", b" \n", 422),
    body("null", b"null", 422),
    body("an array", b'[{"title":"t","description":"d"}]', 422),
    body("a string", b'"title"', 422),
    body("a number", b"1", 422),
    body("an empty object", b"{}", 422),
    body("cut short", GOOD[:-1], 422),
    body("something after it", GOOD + b"{}", 422),
    body("a NUL after it", GOOD + b"\0", 422),
    body("a trailing comma", b'{"title":"t","description":"d",}', 422),
    body("single quotes", b"{'title':'t','description':'d'}", 422),
    body("a comment", b'{"title":"t","description":"d"/**/}', 422),
    body("a form", b"title=t&description=d", 422),
    body("NaN in another member", b'{"title":"t","description":"d","x":NaN}', 422),
    body("Infinity in another member", b'{"title":"t","description":"d","x":-Infinity}', 422),
    body("a byte-order mark", b"\xef\xbb\xbf" + GOOD, 422),
    body("UTF-16", GOOD.decode().encode("utf-16"), 422),
    body("UTF-16 without its mark", GOOD.decode().encode("utf-16-le"), 422),
    body("UTF-32", GOOD.decode().encode("utf-32-be"), 422),
    body("Latin-1", '{"title":"ä","description":"d"}'.encode("latin-1"), 422),
    body("over-long UTF-8", b'{"title":"\xc0\xaf","description":"d"}', 422),
    body("a raw surrogate", b'{"title":"\xed\xa0\x80","description":"d"}', 422),
    body("an escaped lone surrogate", rb'{"title":"\ud800","description":"d"}', 422),
    body(
        "an escaped lone surrogate in a member that is ignored", rb'{"title":"t","description":"d","x":"\udc00"}', 422
    ),
    body("a raw NUL", b'{"title":"a\0b","description":"d"}', 422),
    body("an escaped NUL in the title", rb'{"title":"a\u0000b","description":"d"}', 422),
    body("an escaped NUL in the description", rb'{"title":"t","description":"\u0000"}', 422),
    body("a raw line feed in a string", b'{"title":"a\nb","description":"d"}', 422),
    body("an unknown escape", rb'{"title":"\x41","description":"d"}', 422),
    body("a title without quotes", b'{"title":t,"description":"d"}', 422),
    body("nested 2 000 deep", b'{"title":"t","description":"d","x":' + b"[" * 2000 + b"]" * 2000 + b"}", 422),
    body("nested 30 000 deep, unclosed", b"[" * 30_000, 422),
    body("no title", b'{"description":"d"}', 422),
    body("no description", b'{"title":"t"}', 422),
    body("members in another case", b'{"Title":"t","Description":"d"}', 422),
    members("a title that is null", None, "d", 422),
    members("a title that is a number", 1, "d", 422),
    members("a title that is a boolean", True, "d", 422),
    members("a title that is an array", ["t"], "d", 422),
    members("a title that is an object", {"t": "t"}, "d", 422),
    members("a description that is null", "t", None, 422),
    members("a description that is a number", "t", 1.5, 422),
    members("a description that is an array", "t", [], 422),
    members("an empty title", "", "d", 422),
    members("a title of 101 letters", "t" * 101, "d", 422),
    members("a title of 101 emoji", EMOJI * 101, "d", 422),
    members("a description of 10 001 letters", "t", "d" * 10_001, 422),
    members("a description of 10 001 emoji", "t", EMOJI * 10_001, 422),
    body("the last of two titles is bad", b'{"title":"t","title":1,"description":"d"}', 422),
    body("the last of two titles counts", b'{"title":1,"title":"t","description":"d"}', KEPT),
    body("the last of two good titles counts", b'{"title":"first","description":"d","title":"t"}', KEPT),
    body("other members are ignored", b'{"id":7,"title":"t","description":"d","x":{"title":1}}', KEPT),
    body("white space around every token", b' \r\n\t{ "title" : "t" ,\n"description" : "d" } \n', KEPT),
    body("escapes in a member's name", rb'{"\u0074itle":"t","description":"\u0064"}', KEPT),
    body("an escaped pair of surrogates", rb'{"title":"\ud83c\udf89","description":"d"}', Stored(EMOJI, "d")),
    body("nested 100 deep", b'{"title":"t","description":"d","x":' + b"[" * 99 + b"]" * 99 + b"}", KEPT),
    kept("a title of one letter, no description", "t"),
    kept("a title of 100 letters", "t" * 100),
    kept("a title of 100 emoji", EMOJI * 100),
    kept("a title of 100 combining marks", "e" + "\u0301" * 99),
    kept("a description of 10 000 letters", "t", "d" * 10_000),
    kept("a description of 10 000 emoji", "t", EMOJI * 10_000),
    kept("spaces at both ends", " t ", "\n"),
    kept("control characters", "\x01\x1f\x7f\x85", "\b\t\n\f\r\x0b\x1b"),
    kept("line separators", "\u2028\u2029\ufeff\ufffe"),
    kept("right to left", "\u202eabc\u202c שלום"),
    kept("a letter not normalised", "e\u0301 \u00e9 \u212b"),
    kept("SQL that ends the statement", "'); DROP TABLE notes; --", "' OR '1'='1"),
    kept("SQL placeholders", "%s %(title)s $1 :title ? {0}", "100 % %% %d"),
    kept("SQL quoting", "\\' \\\\ $$ E'\\n' \"notes\"", "''''"),
    kept("markup and quotes", "<script>alert(1)</script> &amp; \"'/\\", "</b>"),
    kept("a template and a path", "{{7*7}} ${jndi:x}", "../../etc/passwd"),
)

FRAMING = (
    body(f"of {LIMIT} bytes", padded(LIMIT), KEPT),
    body(f"of {LIMIT} bytes, chunked", padded(LIMIT), KEPT, chunked=True),
    body(f"of {LIMIT + 1} bytes", padded(LIMIT + 1), 413),
    body(f"of {LIMIT + 1} bytes, chunked", padded(LIMIT + 1), 413, chunked=True),
    body(f"of {4 * LIMIT} bytes, chunked", padded(4 * LIMIT), 413, chunked=True),
    body(f"of {LIMIT + 1} bytes that are not JSON", b"x" * (LIMIT + 1), 413),
    body("declared as 10 GB and never sent", b"", 413, (*JSON, ("Content-Length", "10000000000"))),
    body("small and chunked", GOOD, KEPT, chunked=True),
    body("empty and chunked", b"", 422, chunked=True),
    body("bad and chunked", b"{", 422, chunked=True),
    body("announced with Expect", GOOD, KEPT, (*JSON, ("Expect", "100-continue"))),
)

HEADERS = (
    with_headers("Accept another type", ("Accept", "text/html")),
    with_headers("Accept-Encoding", ("Accept-Encoding", "gzip, br, zstd")),
    with_headers("Range", ("Range", "bytes=0-1")),
    with_headers("If-None-Match", ("If-None-Match", "*")),
    with_headers("X-HTTP-Method-Override", ("X-HTTP-Method-Override", "DELETE")),
    with_headers("a Content-Type without a body", ("Content-Type", "text/plain")),
    with_headers("a cookie of 4 000 bytes", ("Cookie", "c=" + "x" * 4000)),
    with_headers("fifty headers", *((f"X-Header-{i}", "value") for i in range(50))),
    with_headers("a name twice", ("X-Twice", "1"), ("X-Twice", "2")),
    with_headers("names in capitals, no space", ("ACCEPT", "*/*"), ("X-EMPTY", "")),
    with_headers("bytes over 127", ("X-Name", "ä ö ü")),
    with_headers("Connection: close", ("Connection", "close")),
    Case("header: HTTP/1.0", Request("GET", FULL_PAGE, version="1.0"), FIRST_NOTES),
    Case("header: a body on a GET", Request("GET", FULL_PAGE, GOOD, JSON), FIRST_NOTES),
)

CASES: tuple[Case, ...] = (*NUMBERS, *CHOICES, *IDS, *ROUTES, *MEDIA_TYPES, *BODIES, *FRAMING, *HEADERS)
