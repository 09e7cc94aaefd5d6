"""The messages that a user can meet, taken from the headers: each has to stand on the page of its room."""
import re

PAGES = {
    "include/lido": "include/lido/troubleshooting.md",
    "adapters/lido": "adapters/lido/postgres/troubleshooting.md",
}
LITERAL = r'"(?:[^"\\\n]|\\.)*"'
# What has several words and is no message: SQL, and what statements begin with.
SQL = re.compile(
    r"^[;\s]*(select|with|ISOLATION LEVEL|READ ONLY|SET LOCAL|SET TRANSACTION|RELEASE SAVEPOINT|ROLLBACK TO|DISCARD ALL|DEALLOCATE|"
    r"CLOSE ALL|SHOW|LISTEN|UNLISTEN|BEGIN|COMMIT;|SELECT|RESET|SAVEPOINT|START TRANSACTION|call do$|host hostaddr)\b"
)
# Where lists of words stand that are looked for in statements: there a message is what has an article or a comma.
LISTS = ("/detail/sql/", "/name_scope.hpp")


def literals(text):
    """The string literals of a header, those side by side as one."""
    text = text.replace("'\"'", "' '")  # a character, which begins no literal
    text = re.sub(r'R"(\w*)\(.*?\)\1"', '""', text, flags=re.DOTALL)
    text = re.sub(rf"({LITERAL})|//[^\n]*", lambda match: match[1] or "", text)
    text = re.sub(r"#include[^\n]*", "", text)
    for match in re.finditer(rf"{LITERAL}(?:\s*{LITERAL})*", text):
        joined = "".join(part[1:-1] for part in re.findall(LITERAL, match[0]))
        yield joined.replace('\\"', '"').replace("\\n", " ").replace("\\\\", "\\")


def place(root):
    """What messages begin with that say where a connection goes to, as a page writes it."""
    text = (root / "adapters/lido/postgres/detail/connect/connecting.hpp").read_text()
    body = re.search(r"string whereabouts\(.*?\n}", text, flags=re.DOTALL)[0]
    parts = [part for part in literals(body) if part]
    return f"{parts[0]}HOST{parts[-1]}N"


def messages(root, headers):
    """(header, message): what has two words and a space, and the events of the log."""
    for header in headers:
        text = (root / header).read_text()
        for literal in literals(text):
            if re.fullmatch(r"database_\w+", literal):
                yield header, literal
                continue
            if "whereabouts(" in text and literal.startswith((" failed: ", " was ")):
                literal = place(root) + literal
            if header.endswith(("collector.hpp", "open_telemetry.hpp")) and literal.endswith("."):
                continue
            if len(re.findall(r"[A-Za-z]{2,}", literal)) < 2 or " " not in literal.strip() or SQL.match(literal) or "pg_catalog." in literal:
                continue
            if any(part in header for part in LISTS) and not re.search(r"(^|\s)(an?|the|what)\s|[,:]", literal):
                continue
            yield header, literal


def flat(text):
    return re.sub(r"\s+", " ", text.replace("`", "").replace("\\|", "|"))


def missing(root, headers):
    """(page, header, message) of what no page has."""
    pages = {room: flat((root / page).read_text()) for room, page in PAGES.items()}
    for header, message in messages(root, headers):
        room = next(room for room in PAGES if header.startswith(room))
        words = flat(message).strip(" :;,()[]").rstrip("'")
        if words not in pages[room]:
            yield PAGES[room], header, message
