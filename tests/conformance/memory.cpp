// What --max-memory promises: memory that was freed serves any later use, and
// the process takes no more than it says.

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

constexpr std::size_t kibibyte = 1 << 10, mebibyte = 1 << 20;
constexpr std::size_t memory_max = 16 * mebibyte;

std::string key(std::size_t i) {
  const std::string number = std::to_string(i);
  return "key:" + std::string(8 - number.size(), '0') + number;
}

/// A peer who fills a store and empties it, in long pipelines.
class Filler {
 public:
  explicit Filler(Server& server) : server_(server), peer_(server.connect()) {}

  /// Sets as many values of this size as fit, over what is there already, whose
  /// rest it deletes when nothing fits any more. Returns how many fitted.
  std::size_t fill(std::size_t size) {
    std::size_t count = 0, end = keys_;
    for (;;) {
      const std::size_t batch = std::max(mebibyte / 4 / (size + 40), 1uz);
      const std::size_t fitted = set(count, batch, size);
      count += fitted;
      end = std::max(end, count - fitted + batch);
      if (fitted == batch) continue;
      if (remove(count, end) == 0) break;
      end = count;
    }
    keys_ = count;
    EXPECT_EQ(peer_.ask({"DBSIZE"}), integer(static_cast<long long>(count)));
    return count;
  }
  void flush() {
    EXPECT_EQ(peer_.ask({"FLUSHALL"}), ok);
    keys_ = 0;
  }
  void remove_all() {
    EXPECT_EQ(remove(0, keys_), keys_);
    keys_ = 0;
  }
  /// The keys stay, with nothing in them.
  void set_to_nothing() { EXPECT_EQ(set(0, keys_, 0), keys_); }
  void leave() {}  // the next values are written over these

  std::size_t used() { return Server::figure(peer_, "used_memory"); }
  std::size_t keys() const { return keys_; }
  /// Bytes of the process that lie in memory, shared ones included.
  std::size_t resident() const {
    std::size_t all = 0, pages = 0;
    const std::string pid = std::to_string(server_.process().pid());
    std::ifstream("/proc/" + pid + "/statm") >> all >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  }

 private:
  // Of so many keys from `first` on, how many took their values before one did
  // not. Those behind it are not known.
  std::size_t set(std::size_t first, std::size_t count, std::size_t size) {
    const std::string head = "*3\r\n$3\r\nSET\r\n";
    const std::string value = bulk(std::string(size, 'x'));
    std::string requests;
    for (std::size_t i = first; i < first + count; ++i)
      requests.append(head).append(bulk(key(i))).append(value);
    peer_.send(requests);
    std::string answers = peer_.receive(count * ok.size());
    std::size_t fitted = 0;
    while (answers.compare(fitted * ok.size(), ok.size(), ok) == 0) ++fitted;
    if (fitted == count) return count;
    EXPECT_EQ(answers.compare(fitted * ok.size(), 5, "-OOM "), 0) << answers;
    // The rest of the lines: of each there is one byte at least.
    while (count > 0) {
      count -= static_cast<std::size_t>(std::ranges::count(answers, '\n'));
      answers = peer_.receive(count);
    }
    return fitted;
  }
  // Deletes the keys from .. upto - 1 and returns how many there were.
  std::size_t remove(std::size_t from, std::size_t upto) {
    std::size_t sum = 0;
    while (from < upto) {
      std::vector<std::string> words = {"DEL"};
      for (; from < upto && words.size() < 1000; ++from)
        words.push_back(key(from));
      sum += std::stoul(decode(peer_.ask(words)).text);
    }
    return sum;
  }

  Server& server_;
  Peer peer_;
  std::size_t keys_ = 0;
};

class Memory : public ServerTest {
 protected:
  Server& start_small() { return start({"--max-memory", "16m"}); }
};

/// Sizes of values, and how the store is emptied behind each of them.
struct Order {
  std::vector<std::size_t> sizes;
  void (Filler::*empty)();
};

constexpr std::size_t most = mebibyte - 64;

/// Growing, shrinking, mixed. Small values cost most and are few, if not
/// everything is asked for.
std::vector<Order> orders() {
  if (!everything())
    return {{{300, 1100, 9000, 70'000, most}, &Filler::flush},
            {{9000, most, 1100, 70'000}, &Filler::set_to_nothing},
            {{most, 70'000, 1100, 300}, &Filler::leave},
            {{1100, 9000, most}, &Filler::leave},
            {{70'000, 1100, most, 9000}, &Filler::remove_all}};
  std::vector<std::size_t> sizes = {16,   50,     100,    600,     kibibyte,
                                    5000, 20'000, 70'000, 300'000, most};
  auto shrinking = sizes, mixed = sizes;
  std::ranges::reverse(shrinking);
  for (std::size_t i = 0; i + 3 < mixed.size(); i += 2)
    std::swap(mixed[i], mixed[i + 3]);
  return {{sizes, &Filler::flush},
          {mixed, &Filler::set_to_nothing},
          {shrinking, &Filler::leave},
          {sizes, &Filler::leave},
          {mixed, &Filler::remove_all}};
}

// In each round a store that has been filled and emptied in every way holds
// what one that has just been started holds of the same values.
TEST_P(Memory, ThatIsFreedServesAnyLaterUse) {
  REQUIRE_CONCURRENT(2);
  Filler filler(start_small());
  std::map<std::size_t, std::size_t> fresh;
  const std::vector<Order> all = orders();
  for (const std::size_t size : all.front().sizes)
    fresh[size] = Filler(start_small()).fill(size);
  EXPECT_EQ(filler.used(), 0u);
  const std::size_t before = filler.resident();
  for (const Order& order : all)
    for (const std::size_t size : order.sizes) {
      const std::size_t count = filler.fill(size);
      EXPECT_GE(100 * count, 85 * fresh[size]) << size;
      if (size >= kibibyte) {
        EXPECT_GE(count * size, memory_max * 3 / 4) << size;
      }
      EXPECT_GE(filler.used(), count * size);
      EXPECT_LE(filler.used(), memory_max);
      if (!sanitized()) {
        EXPECT_LE(filler.resident(), before + memory_max * 5 / 4 + 8 * mebibyte)
            << size;
      }
      (filler.*order.empty)();
      if (filler.keys() == 0) {
        EXPECT_EQ(filler.used(), 0u);
      }
    }
}

// Where the shell lets a program have few addresses, a store of the usual size
// is refused in words that help; and most shells that limit at all give enough.
TEST_P(Memory, ThatCannotBeHadIsSaidWithWhatHelps) {
  if (sanitized()) GTEST_SKIP() << "a sanitizer wants addresses of its own";
  // Behind them --port is added.
  const auto limited = [&](const char* kibibytes, const Arguments& options) {
    Arguments words = {"-c", "ulimit -v $0 && exec \"$@\"", kibibytes,
                       GetParam().path};
    words.insert(words.end(), options.begin(), options.end());
    return words;
  };
  Arguments command = limited("200000", {});
  command.insert(command.begin(), "/bin/sh");
  const Finished refused = run(command);
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(refused.output, "");
  EXPECT_NE(refused.errors.find("--max-memory 16m"), std::string::npos)
      << refused.errors;
  for (const Arguments& helps :
       {limited("200000", {"--max-memory", "16m"}), limited("900000", {})}) {
    Server server({GetParam().name, "/bin/sh"}, helps, Server::Itself{});
    server.await_ready();
    EXPECT_EQ(server.ask({"SET", "key", "value"}), ok);
    EXPECT_EQ(server.ask({"GET", "key"}), bulk("value"));
    EXPECT_EQ(server.stop(), 0) << server.process().errors();
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Memory, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
