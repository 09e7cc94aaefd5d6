"""A PostgreSQL of its own in a directory, for the peers that talk to one."""
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import time


class Server:
    def __init__(self, scratch):
        user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if user:
            os.chown(scratch, user.pw_uid, user.pw_gid)
        self.more = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        programs = subprocess.run(["pg_config", "--bindir"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run([f"{programs}/initdb", "-D", f"{scratch}/data", "-U", "lido", "--auth=trust", "--no-sync"], check=True, **quiet, **self.more)  # fmt: skip
        self.server = subprocess.Popen([f"{programs}/postgres", "-D", f"{scratch}/data", "-k", str(scratch), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                                        "-c", "max_connections=100", "-c", "fsync=off"], **quiet, **self.more)  # fmt: skip
        ready = pathlib.Path(scratch, "data/postmaster.pid")
        for _ in range(300):
            if ready.exists() and "\nready" in ready.read_text():
                return
            time.sleep(0.1)
        self.server.kill()
        raise SystemExit("PostgreSQL does not start")

    def everybody(self, what):
        for child in pathlib.Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split():
            os.kill(int(child), what)
        os.kill(self.server.pid, what)

    def stop(self):
        self.everybody(signal.SIGCONT)
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait()
