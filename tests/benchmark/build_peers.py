"""Builds the peers of peers/, each as its language does it, and installs what they need where that is allowed."""
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def run(*command, **more):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def tag(source, word):
    """What the source says of itself, in a line such as `// package: golang-go`."""
    found = re.search(rf"^(?://|#) {word}: (.*)$", source.read_text(), re.MULTILINE)
    return found[1] if found else ""


def cpp(source, into, program):
    flags = ["-std=c++20", "-O2", "-DNDEBUG", "-pthread", *(f"-I{HERE.parents[1] / room}" for room in ("include", "adapters", "tests")), "-I/usr/include/postgresql"]
    whole = tag(source, "whole")  # or with the contenders' main
    run(os.environ.get("CXX", "g++"), *flags, source, *([] if whole else [HERE / "main.cpp"]), "-o", program, *tag(source, "link").split())
    return [program] if whole else [program, tag(source, "name")]


def java(source, into, program):
    jars = ":".join(f"/usr/share/java/{jar}.jar" for jar in tag(source, "jars").split())
    run("javac", "-cp", jars, "-d", into, source)
    return ["java", "-cp", f"{jars}:{into}", source.stem]


def go(source, into, program):
    round = [] if tag(source, "whole") else [source.with_name("peer.go")]
    run("go", "build", "-o", program, source, *round,
        env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(into / "go")})  # fmt: skip
    return [program]


def rust(source, into, program):
    # Of the distribution's crates alone, which stand in a directory; and with its compiler, which knows them.
    project = into / f"{source.stem}_rust"
    (project / "src").mkdir(parents=True, exist_ok=True)
    if not (project / "src/main.rs").exists() or (project / "src/main.rs").read_text() != source.read_text():
        shutil.copy(source, project / "src/main.rs")  # or it would be compiled again
    crates = "".join(f'{name} = {{version = "*"{", features = [" + features + "]" if features else ""}}}\n'
                     for name, _, features in (crate.partition(":") for crate in tag(source, "crates").split()))  # fmt: skip
    (project / "Cargo.toml").write_text(f'[package]\nname = "{source.stem}"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n{crates}')
    (project / ".cargo").mkdir(exist_ok=True)
    (project / ".cargo/config.toml").write_text('[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "/usr/share/cargo/registry"\n')
    run("/usr/bin/cargo", "build", "--release", "--offline", cwd=project, env={**os.environ, "RUSTC": "/usr/bin/rustc"})
    return [project / "target/release" / source.stem]


def python(source, into, program):
    imports = re.findall(r"^import (?!peer$)(\w+)", source.read_text(), re.MULTILINE)
    run("/usr/bin/python3", "-c", f"import {','.join(imports)}")
    return ["/usr/bin/python3", source]


BUILD = {".cpp": cpp, ".java": java, ".go": go, ".rs": rust, ".py": python}


@functools.cache
def made(source, into):
    """The command of that peer, or nothing. A peer that does two things is built once."""
    into.mkdir(parents=True, exist_ok=True)
    packages = tag(source, "package").split()
    for attempt in (1, 2):
        try:
            return BUILD[source.suffix](source, into, into / f"{source.stem}_peer")
        except (subprocess.CalledProcessError, FileNotFoundError) as failure:
            (into / f"{source.stem}.log").write_text(str(getattr(failure, "stdout", "")) or str(failure))
            if attempt == 1 and packages and os.geteuid() == 0 and shutil.which("apt-get"):
                subprocess.run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})  # fmt: skip
            else:
                break
    print(f"left out: {tag(source, 'name')} (needs {' '.join(packages)})", file=sys.stderr, flush=True)
    return None


def peers(word, does, into):
    """Name, kind and command of all that do it (pool or statements) and have that word in their name."""
    for source in sorted((HERE / "peers").iterdir()):
        if source.suffix in BUILD and tag(source, "name") and does in (tag(source, "does") or "pool").split() and (word == "all" or word in tag(source, "name")):
            command = made(source, into)
            if command:
                yield tag(source, "name"), tag(source, "kind"), command


if __name__ == "__main__":
    # WORD INTO: those that move many rows, as bulk_peer_others.cpp reads them.
    for source in sorted((HERE / "peers").iterdir()):
        if "bulk" in tag(source, "does").split() and (sys.argv[1] == "all" or sys.argv[1] in tag(source, "name")):
            command = made(source, pathlib.Path(sys.argv[2]))
            if command:
                print(tag(source, "name"), tag(source, "tasks"), *command, sep="\t")
