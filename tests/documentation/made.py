"""What the pages show and nobody writes: made from the sources by tests/documentation/run."""
import pathlib
import re
import subprocess

PUBLIC = ("include/lido", "adapters/lido/postgres", "adapters/lido/asio", "adapters/lido/prometheus")


def headers(root):
    """All headers that a user may include, as paths below the root, sorted."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.hpp"],
        cwd=root, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.splitlines()  # fmt: skip
    return sorted(
        name for name in set(listed)
        if name.startswith(("include/", "adapters/")) and "/detail/" not in name and (root / name).exists()
    )  # fmt: skip


def struct(text, name):
    """The lines of `struct name`, up to its end."""
    match = re.search(rf"^struct {name} \{{\n(.*?)^\}};", text, re.MULTILINE | re.DOTALL)
    if not match:
        raise ValueError(f"there is no struct {name}")
    return match[1]


def first_sentence(text):
    text = " ".join(text.split())
    match = re.match(r"(.+?[.?])(?= [A-Z`]|$)", text)
    return (match[1] if match else text).rstrip(".")


def cell(text):
    return text.replace("|", "\\|")


DURATION = {"nanoseconds": "ns", "microseconds": "us", "milliseconds": "ms", "seconds": "s", "minutes": "min", "hours": "h"}


def default(value):
    """A default as a reader says it."""
    value = value.strip()
    match = re.fullmatch(r"std::chrono::(\w+)\{(\d+)\}", value)
    if match:
        return f"{match[2]} {DURATION[match[1]]}"
    if value == "Duration::max()":
        return "never"
    if "numeric_limits" in value:
        return "no limit"
    if re.fullmatch(r"ResetLevel::\w+", value):
        return f"`{value.split('::')[1]}`"
    if value in ("", "{}"):
        return "none"
    if value.startswith('"'):
        return f"`{value[1:-1]}`"
    return value


def documented_members(body):
    """(name, default, comment) of each member: the comment stands above it, or behind it after `///<`."""
    comment, statement = [], ""
    for line in body.splitlines():
        line = line.strip()
        if line.startswith("///"):
            comment.append(line[3:].strip())
            continue
        code, _, behind = line.partition("///<")
        code = code.split("//")[0].strip()
        if not code:
            comment = []
            continue
        statement += " " + code
        if not statement.rstrip().endswith(";"):
            continue
        match = re.match(r"\s*[\w:<>\s,]+?\s(\w+)\s*(?:=\s*(.*?)|\{(.*?)\})?;\s*$", statement)
        if match and "(" not in statement.split("=")[0]:
            said = " ".join(comment) or behind.strip()
            yield match[1], match[2] if match[2] is not None else match[3] or "", said
        comment, statement = [], ""


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(cell(part) for part in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


# What is meant where a member is empty.
UNSET = {"workers": "5", "start_worker": "threads"}


def pool_options(root):
    body = struct((root / "include/lido/options.hpp").read_text(), "PoolOptions")
    rows = []
    for name, value, said in documented_members(body):
        rows.append((f"`{name}`", UNSET.get(name) or default(value), first_sentence(said)))
    return table(("option", "default", "what it is"), rows)


def statistics(root):
    body = struct((root / "include/lido/statistics.hpp").read_text(), "Statistics")
    rows = [(f"`{name}`", said) for name, _, said in documented_members(body)]
    return table(("figure", "what it counts"), rows)


def postgres_options(root):
    text = (root / "adapters/lido/postgres/options.hpp").read_text()
    in_text = dict(re.findall(r'\.option = "(\w+)", (?:\n\s*)?\.member = &Options::(\w+)', text))
    rows = []
    for name, value, said in documented_members(struct(text, "Options")):
        key, variable = "code only", ""
        if name in in_text:
            key = name if name.startswith("pool_") else "pool_" + name
            variable = f"`DATABASE_{key.upper()}`"
            key = f"`{key}`"
        elif name == "application_name":
            key, variable = "`application_name`", "`PGAPPNAME`"
        rows.append((f"`{name}`", key, variable, UNSET.get(name) or default(value), first_sentence(said)))
    return table(("option", "in a connection string", "environment", "default", "what it is"), rows)


def opening_words(text):
    """The first paragraph of the comment that a header begins with, as one sentence."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        said = line[2:].strip()
        if not said or re.match(r"^//\s{2,}\S", line):  # a list below it
            break
        lines.append(said)
    return first_sentence(" ".join(lines).rstrip(":"))


def names_of(text):
    """The types, functions and variables that a header offers, in the order in which they stand there."""
    text = re.sub(r"namespace detail \{.*?^\}  // namespace detail$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = []
    patterns = r"^inline constexpr bool (\w+) =|^(?:class|struct|enum class)(?: \[\[[^\]]*\]\])? (\w+)(?= (?:\{|:|final))|^concept (\w+) =|^using (\w+) =" \
               r"|^(?:\[\[nodiscard\]\] )?(?:inline |constexpr |template <> )*(?:inline )?(?:\w[\w:<>, ]* |auto )(\w+)\("
    for match in re.finditer(patterns, text, re.MULTILINE):
        name = next(part for part in match.groups() if part)
        if name not in found and not name.startswith("operator") and name not in ("validate", "lido_validate", "may_block", "to_string"):
            found.append(name)
    return found


def metrics(root):
    """The metrics of the Prometheus adapter, from the calls that make them."""
    text = (root / "adapters/lido/prometheus/collector.hpp").read_text()
    rows = []
    for kind, name, said in re.findall(r'\.(gauge|counter|histogram)(?:<\w+>)?\(\s*"(\w+)",\s*"([^"]+)"', text):
        rows.append((f"`{name}`", kind, said.rstrip(".")))
    return table(("metric", "kind", "what it is"), rows)


def header_map(root, room):
    rows = []
    for path in headers(root):
        if not path.startswith(room + "/"):
            continue
        text = (root / path).read_text()
        names = ", ".join(f"`{name}`" for name in names_of(text))
        include = re.sub(r"^(include|adapters)/", "", path)
        rows.append((opening_words(text), f"`<{include}>`", names))
    return table(("what is in it", "include", "names"), rows)


BLOCKS = {
    "pool_options": pool_options,
    "statistics": statistics,
    "postgres_options": postgres_options,
    "metrics": metrics,
    **{f"headers {room}": (lambda root, room=room: header_map(root, room)) for room in PUBLIC},
}

if __name__ == "__main__":
    for made in BLOCKS.values():
        print(made(pathlib.Path(__file__).resolve().parents[2]))
