// A server that keeps nothing of the contract but its start and its end: the
// suite must not find a single answer of it right (tests/conformance/own.cpp).
//   DECEIVER=silent|closing|agreeing deceiver --listen-fd N
// It reads and says nothing, hangs up at once, or answers everything with OK.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace {

void end(int) { ::_exit(0); }

void converse(int peer, std::string_view part) {
  static constexpr std::string_view ok = "+OK\r\n";
  char room[1 << 16];
  while (part != "closing" && ::recv(peer, room, sizeof room, 0) > 0)
    if (part == "agreeing")
      if (::send(peer, ok.data(), ok.size(), MSG_NOSIGNAL) < 0) break;
  ::close(peer);
}

}  // namespace

int main(int count, char** words) {
  const char* named = std::getenv("DECEIVER");
  const std::string_view part = named ? named : "silent";
  if (count == 2 && words[1] == std::string_view("--traits")) {
    std::printf("model=deceiver\nvariant=%s\nsleeps=yes\n", part.data());
    return 0;
  }
  int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  for (int i = 1; i + 1 < count; ++i)
    if (words[i] == std::string_view("--listen-fd"))
      listener = std::atoi(words[i + 1]);
  sockaddr_in name{};
  socklen_t size = sizeof name;
  if (::listen(listener, 1000) != 0) return 1;
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&name), &size);
  ::signal(SIGTERM, end);
  ::signal(SIGINT, end);
  std::printf("ready deceiver %s tcp://127.0.0.1:%d\n", part.data(),
              ntohs(name.sin_port));
  std::fflush(stdout);
  for (;;) {
    const int peer = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (peer >= 0) std::thread(converse, peer, part).detach();
  }
}
