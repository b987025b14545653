#include "net/mailbox.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/counters.hpp"

namespace {

bool rings(const net::Mailbox& mailbox) {
  pollfd bell{mailbox.fd(), POLLIN, 0};
  return ::poll(&bell, 1, 0) == 1;
}

protocol::Letter letter(std::uint64_t conversation) {
  return {conversation, std::to_string(conversation)};
}

std::vector<protocol::Letter> collect(net::Mailbox& mailbox) {
  std::vector<protocol::Letter> letters;
  EXPECT_TRUE(mailbox.collect(
      [&](protocol::Letter letter) { letters.push_back(std::move(letter)); }));
  return letters;
}

TEST(Mailbox, BringsLettersInTheirOrder) {
  net::Mailbox mailbox;
  EXPECT_FALSE(rings(mailbox));
  mailbox.post(letter(1));
  mailbox.post(letter(2));
  ASSERT_TRUE(rings(mailbox));
  mailbox.silence();
  const auto letters = collect(mailbox);
  ASSERT_EQ(letters.size(), 2u);
  EXPECT_EQ(letters[0].conversation, 1u);
  EXPECT_EQ(letters[1].answer, "2");
  EXPECT_TRUE(collect(mailbox).empty());
  EXPECT_FALSE(rings(mailbox));
}

TEST(Mailbox, WritesItsBellOnceForManyRings) {
  net::Mailbox mailbox;
  const unsigned writes = net::counter("sys.", "write");
  const auto before = net::total(writes);
  for (int i = 0; i < 100; ++i) mailbox.wake();
  for (int i = 0; i < 100; ++i) mailbox.post(letter(1));
  EXPECT_EQ(net::total(writes), before + 1);
  mailbox.silence();
  EXPECT_EQ(collect(mailbox).size(), 100u);
  mailbox.wake();
  EXPECT_EQ(net::total(writes), before + 2);
  EXPECT_TRUE(rings(mailbox));
}

// A ring between the reading of the bell and collect() is answered by this
// collect(), one behind it by the next.
TEST(Mailbox, TellsThatItWasRungUntilItIsCollected) {
  net::Mailbox mailbox;
  EXPECT_FALSE(mailbox.rung());
  mailbox.wake();
  EXPECT_TRUE(mailbox.rung());
  mailbox.silence();
  EXPECT_TRUE(mailbox.rung()) << "the letters have not been taken";
  mailbox.collect();
  EXPECT_FALSE(mailbox.rung());
  mailbox.stop();
  EXPECT_TRUE(mailbox.rung());
}

TEST(Mailbox, LosesNoRingBeforeOrAfterCollecting) {
  net::Mailbox mailbox;
  mailbox.post(letter(1));
  mailbox.silence();
  mailbox.post(letter(2));
  EXPECT_EQ(collect(mailbox).size(), 2u);
  mailbox.post(letter(3));
  EXPECT_TRUE(rings(mailbox));
}

TEST(Mailbox, StopsForGood) {
  net::Mailbox mailbox;
  EXPECT_FALSE(mailbox.stopping());
  mailbox.stop();
  EXPECT_TRUE(mailbox.stopping());
  EXPECT_TRUE(rings(mailbox));
  mailbox.silence();
  mailbox.collect();
  EXPECT_TRUE(mailbox.stopping());
}

TEST(Mailbox, WakesInAnotherWayIfAsked) {
  net::Mailbox mailbox;
  int wakes = 0;
  mailbox.on_wake([&] { ++wakes; });
  mailbox.wake();
  mailbox.wake();
  EXPECT_EQ(wakes, 2);
  EXPECT_FALSE(rings(mailbox));
  mailbox.on_wake({});
  mailbox.wake();
  EXPECT_EQ(wakes, 2);
  EXPECT_TRUE(rings(mailbox));
}

// Answers are large, and in no budget: nothing of them stays.
TEST(Mailbox, KeepsNothingOfALetter) {
  net::Mailbox mailbox;
  const std::string answer(1 << 20, 'x');
  const char* where = nullptr;
  {
    std::string text = answer;
    where = text.data();
    mailbox.post({1, std::move(text)});
  }
  EXPECT_TRUE(mailbox.collect([&](protocol::Letter letter) {
    EXPECT_EQ(letter.answer.data(), where) << "it has been copied";
    EXPECT_EQ(letter.answer, answer);
  }));
}

TEST(Mailbox, HandsLettersToWhoeverIsThereForThem) {
  net::Mailbox mailbox;
  std::vector<std::uint64_t> delivered;
  mailbox.on_letter([&](const protocol::Letter& letter) {
    delivered.push_back(letter.conversation);
  });
  mailbox.post(letter(1));
  mailbox.post(letter(2));
  EXPECT_EQ(delivered, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_FALSE(rings(mailbox));
  mailbox.on_letter({});
  mailbox.post(letter(3));
  EXPECT_EQ(delivered.size(), 2u);
  EXPECT_EQ(collect(mailbox).size(), 1u);
}

/// Ends with 0 if who waits for a letter that found no memory is told so, once,
/// and whoever posts it is spared. In a process of its own, with no addresses.
[[noreturn]] void lose_a_letter() {
  net::Mailbox mailbox;
  rlimit none{};
  ::getrlimit(RLIMIT_AS, &none);
  none.rlim_cur = 0;
  ::setrlimit(RLIMIT_AS, &none);
  // Until those for which there was room, and those that the heap has, are
  // used up. (Of short ones nothing is allocated but their place.)
  for (std::uint64_t i = 0; i < 1'000'000; ++i) mailbox.post({i, "x"});
  std::uint64_t next = 0;
  bool in_order = true;
  const bool all = mailbox.collect([&](const protocol::Letter& letter) {
    in_order = in_order && letter.conversation == next++;
  });
  const bool again = mailbox.collect([](const protocol::Letter&) {});
  std::_Exit(!all && again && in_order && next >= 1024 ? 0 : 1);
}

TEST(MailboxDeathTest, SaysThatALetterFoundNoMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs addresses";
#endif
  EXPECT_EXIT(lose_a_letter(), testing::ExitedWithCode(0), "");
}

/// Posts `each` letters from each of four threads.
class Posters {
 public:
  static constexpr int threads = 4, each = 5000, all = threads * each;

  explicit Posters(net::Mailbox& mailbox) {
    for (int t = 0; t < threads; ++t)
      threads_.emplace_back([&mailbox, t] {
        const auto first = static_cast<std::uint64_t>(t) * each;
        for (int i = 0; i < each; ++i)
          mailbox.post(letter(first + static_cast<std::uint64_t>(i)));
      });
  }

 private:
  std::vector<std::jthread> threads_;
};

class Received {
 public:
  void take(const std::vector<protocol::Letter>& letters) {
    for (const auto& letter : letters) {
      ++times_.at(letter.conversation);
      EXPECT_EQ(letter.answer, std::to_string(letter.conversation));
    }
    count_ += letters.size();
  }
  bool complete() const { return count_ >= Posters::all; }
  bool each_once() const {
    return std::ranges::all_of(times_, [](int times) { return times == 1; });
  }

 private:
  std::vector<int> times_ = std::vector<int>(Posters::all);
  std::size_t count_ = 0;
};

TEST(Mailbox, BringsEveryLetterOnceByTheBell) {
  net::Mailbox mailbox;
  Received received;
  const Posters posters(mailbox);
  while (!received.complete()) {
    mailbox.silence();
    received.take(collect(mailbox));
  }
  EXPECT_TRUE(received.each_once());
}

TEST(Mailbox, BringsEveryLetterOnceByACondition) {
  net::Mailbox mailbox;
  std::mutex mutex;
  std::condition_variable condition;
  bool rung = false;
  mailbox.on_wake([&] {
    const std::scoped_lock lock(mutex);
    rung = true;
    condition.notify_one();
  });
  Received received;
  {
    const Posters posters(mailbox);
    while (!received.complete()) {
      {
        std::unique_lock lock(mutex);
        condition.wait(lock, [&] { return rung; });
        rung = false;
      }
      received.take(collect(mailbox));
    }
  }
  mailbox.on_wake({});
  EXPECT_TRUE(received.each_once());
}

// Once on_wake({}) has returned nobody is in the old function, so what it uses
// may go.
TEST(Mailbox, TakesTheWakingBackSafely) {
  for (int i = 0; i < 200; ++i) {
    net::Mailbox mailbox;
    auto alive = std::make_unique<int>(0);
    mailbox.on_wake([&] { ++*alive; });
    const std::jthread ringer([&] { mailbox.wake(); });
    mailbox.on_wake({});
    alive.reset();
  }
}

}  // namespace
