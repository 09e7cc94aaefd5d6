// A PostgreSQL server with TLS, on a loopback address of its own, so that it keeps the usual port.
#pragma once

#include <fcntl.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <support/directory.hpp>
#include <support/postgres_server.hpp>

namespace lido::test {

/// Two authorities, of which the first has signed the server's certificate for `db.example`.
class Certificates {
 public:
  Certificates() {
    authority("ca");
    authority("other");
    openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file("key"),
             "-out", file("request"), "-subj", "/CN=db.example"});
    std::ofstream{file("extensions")} << "subjectAltName=DNS:db.example\n";
    openssl({"x509", "-req", "-in", file("request"), "-CA", file("ca"), "-CAkey", file("ca.key"), "-CAcreateserial",
             "-days", "2", "-extfile", file("extensions"), "-out", file("certificate")});
    // The server wants its key to be its own.
    std::filesystem::permissions(file("key"), std::filesystem::perms{0600});
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr) user = ::getpwnam("nobody");
    if (::geteuid() == 0 && ::chown(file("key").c_str(), user->pw_uid, user->pw_gid) != 0)
      throw std::runtime_error{"chown failed"};
  }

  /// `ca`, `other`, `certificate` or `key`.
  [[nodiscard]] std::string file(const std::string& name) const { return directory_ / (name + ".pem"); }
  [[nodiscard]] const Directory& directory() const noexcept { return directory_; }

 private:
  void authority(const std::string& name) const {
    openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-keyout", file(name + ".key"), "-out", file(name), "-subj", "/CN=lido " + name});
  }
  static void openssl(const std::vector<std::string>& words) {
    std::vector<char*> arguments{const_cast<char*>("openssl")};
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      const int nowhere = ::open("/dev/null", O_RDWR);
      for (const int file : {0, 1, 2}) ::dup2(nowhere, file);
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) throw std::runtime_error{"openssl " + words[0] + " failed, or is not installed"};
  }

  Directory directory_;
};

/// A server that takes TCP connections under TLS alone.
class TlsServer {
 public:
  TlsServer()
      : address_{loopback()},
        server_{{"listen_addresses=" + address_, "ssl=on", "ssl_cert_file=" + certificates_.file("certificate"),
                 "ssl_key_file=" + certificates_.file("key"), "hba_file=" + hba(certificates_.directory())}} {}

  [[nodiscard]] PostgresServer& server() noexcept { return server_; }
  [[nodiscard]] const Certificates& certificates() const noexcept { return certificates_; }
  /// By `name`, at the server's address.
  [[nodiscard]] std::string conninfo(const std::string& name = "db.example") const {
    return "host=" + name + " hostaddr=" + address_ + " user=postgres dbname=postgres";
  }
  [[nodiscard]] const std::string& address() const noexcept { return address_; }

 private:
  // All of 127.0.0.0/8 is this machine.
  [[nodiscard]] static std::string loopback() {
    std::random_device random;
    std::uniform_int_distribution<int> byte{1, 254};
    return "127." + std::to_string(byte(random)) + '.' + std::to_string(byte(random)) + '.' +
           std::to_string(byte(random));
  }
  [[nodiscard]] static std::string hba(const Directory& directory) {
    std::ofstream{directory / "hba"} << "local all all trust\nhostssl all all 127.0.0.0/8 trust\n";
    return directory / "hba";
  }

  Certificates certificates_;
  std::string address_;
  PostgresServer server_;
};

}  // namespace lido::test
