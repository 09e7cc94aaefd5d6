// A TLS proxy that packs what the server sends anew, into records of a size of one's choice.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <stdexcept>
#include <string>

#include <support/tls_server.hpp>

namespace lido::test {

/// Takes connections with TLS and passes them to a Unix socket. What comes back is gathered until the server has no
/// more to say for a moment, or 128 KB are there, and leaves in records of as many bytes as the client's
/// `application_name` says. The script is for python3, which has TLS; the tests need no library for it.
class RecordProxy {
 public:
  explicit RecordProxy(const std::string& server) {
    int input[2];
    int output[2];
    if (::pipe2(input, O_CLOEXEC) != 0 || ::pipe2(output, O_CLOEXEC) != 0) throw std::runtime_error{"pipe2 failed"};
    const std::string certificate = certificates_.file("certificate");
    const std::string key = certificates_.file("key");
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(input[0], 0);
      ::dup2(output[1], 1);
      for (int file = 3; file < 1024; ++file) ::close(file);
      ::execlp("python3", "python3", "-c", script, server.c_str(), certificate.c_str(), key.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(input[0]);
    ::close(output[1]);
    end_ = input[1];
    char byte = 0;
    while (::read(output[0], &byte, 1) == 1 && byte != '\n') port_ += byte;
    ::close(output[0]);
    if (child_ < 0 || port_.empty()) throw std::runtime_error{"the TLS proxy does not start: is python3 installed?"};
  }
  RecordProxy(const RecordProxy&) = delete;
  RecordProxy& operator=(const RecordProxy&) = delete;
  ~RecordProxy() {
    ::close(end_);
    ::kill(child_, SIGKILL);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  [[nodiscard]] std::string conninfo(std::size_t record) const {
    return "host=127.0.0.1 port=" + port_ + " user=postgres dbname=postgres sslmode=require gssencmode=disable" +
           " application_name=records=" + std::to_string(record);
  }

 private:
  static constexpr const char* script = R"(
import re, select, socket, ssl, struct, sys, threading, os

path, certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)

def gather(server):
    data = b''
    while len(data) < 1 << 17 and select.select([server], [], [], 0.001)[0]:
        chunk = server.recv(65536)
        if not chunk:
            return data, True
        data += chunk
    return data, False

def serve(client):
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    first = client.recv(8, socket.MSG_WAITALL)
    if struct.unpack('!ii', first) != (8, 80877103):
        server.sendall(first + client.recv(8, socket.MSG_WAITALL))  # to cancel, without TLS
        server.recv(1)
        return
    client.sendall(b'S')
    client = context.wrap_socket(client, server_side=True)
    first = client.recv(65536)
    size = int((re.search(rb'records=(\d+)', first) or [0, 16384])[1])
    server.sendall(first)
    while True:
        ready = [client] if client.pending() else select.select([client, server], [], [])[0]
        if client in ready:
            data = client.recv(65536)
            if not data:
                return
            server.sendall(data)
        if server in ready:
            data, over = gather(server)
            for at in range(0, len(data), size):
                client.sendall(data[at:at + size])
            if over:
                return

def guarded(client):
    try:
        serve(client)
    except (OSError, struct.error):
        pass

def end():
    sys.stdin.read()
    os._exit(0)

threading.Thread(target=end).start()
listener = socket.create_server(('127.0.0.1', 0), backlog=64)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=guarded, args=(listener.accept()[0],), daemon=True).start()
)";

  Certificates certificates_;
  pid_t child_ = 0;
  int end_ = -1;
  std::string port_;
};

}  // namespace lido::test
